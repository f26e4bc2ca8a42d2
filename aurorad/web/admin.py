"""Health and statistics, as probes and scripts know them (http-endpoints sheet, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from quart import Blueprint, Response, request

from aurorad.vars import Value, Vars


def admin_endpoints(stats: Vars, trouble: Callable[[], str | None]) -> Blueprint:
    """`trouble` says in a sentence why the daemon cannot do its work now, or None."""
    blueprint = Blueprint("admin", __name__)

    @blueprint.get("/health")
    async def health() -> Response:
        reason = trouble()
        if reason is not None:
            return Response(f"SICK\n{reason}\n", 503, content_type="text/plain")
        return Response("OK\n", 200, content_type="text/plain")

    @blueprint.get("/vars")
    async def text() -> Response:
        return Response(as_lines(stats.snapshot()), content_type="text/plain; charset=utf-8")

    @blueprint.get("/vars.json")
    async def json() -> Response:
        encoded = msgspec.json.encode(stats.snapshot())
        if request.args.get("pretty") == "true":
            encoded = msgspec.json.format(encoded, indent=2)
        return Response(encoded, content_type="application/json")

    return blueprint


def as_lines(values: Mapping[str, Value]) -> str:
    """``name value`` lines, sorted as whole lines, without a newline at the end."""
    return "\n".join(sorted(f"{name} {value}" for name, value in values.items()))
