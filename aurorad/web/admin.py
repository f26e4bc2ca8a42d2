"""Health and statistics, as probes and scripts know them (http-endpoints sheet, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
import trio
from quart import Blueprint, Response, request

from aurorad.vars import Value, Vars
from aurorad.web import exposition

_TEXT = "text/plain; charset=utf-8"
_MOST_SAID_BYTES = 90
"""Of trouble, by ``/health``: a whole answer has less than 256 bytes, which is all that monit reads of one."""


def admin_endpoints(
    stats: Vars, trouble: Callable[[], str | None], remark: Callable[[], str | None] = lambda: None
) -> Blueprint:
    """`trouble` says in a sentence why the daemon cannot do its work now, or None.

    `remark` says what keeps a healthy one from leading: to start it again would not mend that.
    """
    blueprint = Blueprint("admin", __name__)

    @blueprint.get("/health")
    async def health() -> Response:
        reason = trouble()
        if reason is not None:
            return Response(f"SICK\n{_begin(reason)}\n", 503, content_type=_TEXT)
        remarked = remark()
        return Response("OK\n" + (f"{_begin(remarked)}\n" if remarked else ""), 200, content_type=_TEXT)

    @blueprint.get("/vars")
    async def text() -> Response:
        return Response(as_lines(stats.snapshot()), content_type=_TEXT)

    @blueprint.get("/vars.json")
    async def json() -> Response:
        encoded = msgspec.json.encode(stats.snapshot())
        if request.args.get("pretty") == "true":
            encoded = msgspec.json.format(encoded, indent=2)
        return Response(encoded, content_type="application/json")

    @blueprint.get("/metrics")
    async def metrics() -> Response:
        shown = await trio.to_thread.run_sync(exposition.exposition, stats.snapshot(), stats.is_counter)
        return Response(shown, content_type=exposition.CONTENT_TYPE)

    return blueprint


def _begin(text: str) -> str:
    """As much of a text as ``/health`` has room for, in one line. The log has the whole of it."""
    line = " ".join(text.split()).encode()
    if len(line) <= _MOST_SAID_BYTES:
        return line.decode()
    return line[: _MOST_SAID_BYTES - 3].decode(errors="ignore") + "..."


def as_lines(values: Mapping[str, Value]) -> str:
    """``name value`` lines, sorted as whole lines, without a newline at the end."""
    return "\n".join(sorted(f"{name} {value}" for name, value in values.items()))
