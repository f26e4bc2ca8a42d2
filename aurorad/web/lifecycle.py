"""Ending the daemon over HTTP, for this machine's administrators alone (http-endpoints sheet, section 4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import NoReturn

from quart import Blueprint, Response, request
from werkzeug.exceptions import Forbidden


def lifecycle_endpoints(stop: Callable[[], None], abort: Callable[[], NoReturn]) -> Blueprint:
    """`stop` begins an orderly end and returns at once; `abort` ends the process and does not return.

    The original lets everybody do this who can reach the port.
    """
    blueprint = Blueprint("lifecycle", __name__)

    @blueprint.before_request
    async def only_from_here() -> None:
        if request.method == "POST" and not _is_local(request.remote_addr):
            raise Forbidden("Only a client on this machine may end the scheduler.")

    @blueprint.post("/quitquitquit")
    async def quit_() -> Response:
        stop()
        return Response("Notifying quit listener.", content_type="text/plain; charset=utf-8")

    @blueprint.post("/abortabortabort")
    async def abort_() -> Response:
        abort()

    return blueprint


def _is_local(address: str | None) -> bool:
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
