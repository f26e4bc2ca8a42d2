"""Ending the daemon over HTTP, for administrators alone (http-endpoints sheet, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from quart import Blueprint, Response


def lifecycle_endpoints(stop: Callable[[], None], abort: Callable[[], NoReturn]) -> Blueprint:
    """`stop` begins an orderly end and returns at once; `abort` ends the process and does not return.

    The original lets everybody do this who can reach the port; ours has a gate (`access.py`).
    """
    blueprint = Blueprint("lifecycle", __name__)

    @blueprint.post("/quitquitquit")
    async def quit_() -> Response:
        stop()
        return Response("Notifying quit listener.", content_type="text/plain; charset=utf-8")

    @blueprint.post("/abortabortabort")
    async def abort_() -> Response:
        abort()

    return blueprint
