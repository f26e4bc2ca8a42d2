"""What an operator asks of the process itself: its services, tasks and loggers (http-endpoints sheet, section 5)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from quart import Blueprint, Response, request

from aurorad import introspection
from aurorad.pages.look import Look

_log = logging.getLogger(__name__)

_TEXT = "text/plain; charset=utf-8"

INHERIT = "INHERIT"
LEVELS = {
    "OFF": logging.CRITICAL + 10,
    "ERROR": logging.ERROR,
    "WARN": logging.WARNING,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
    "TRACE": logging.DEBUG // 2,
    "ALL": 1,
    INHERIT: logging.NOTSET,
}
"""What a logger can be set to, as the original names it."""
ROOT = "ROOT"
"""Under which name the logger of all others goes."""


class LoggerRow(NamedTuple):
    name: str
    level: str
    """What it was set to, as in `LEVELS`."""
    effective: str


def diagnostic_endpoints(look: Look) -> Blueprint:
    """``/services``, ``/threads``, ``/contention`` and ``/logconfig``."""
    blueprint = Blueprint("diagnostics", __name__)

    @blueprint.get("/services")
    async def services() -> Response:
        """Whoever is listed runs: a service that fails or ends, ends the process."""
        names = introspection.services(introspection.task_names())
        shown = [{"name": name, "state": "RUNNING"} for name in names]
        return Response(msgspec.json.encode(shown), content_type="application/json")

    @blueprint.get("/threads")
    async def threads() -> Response:
        return Response(await introspection.as_text(), content_type=_TEXT)

    @blueprint.get("/contention")
    async def contention() -> Response:
        return Response("\n".join(_contention_lines()), content_type=_TEXT)

    @blueprint.get("/logconfig")
    async def show_loggers() -> Response:
        page = await look.page("logconfig.html", loggers=logger_rows(), levels=tuple(LEVELS))
        page.headers["Referrer-Policy"] = "same-origin"  # with none, browsers send forms without saying where from
        return page

    @blueprint.post("/logconfig")
    async def set_level() -> Response:
        form = await request.form
        name, level = form.get("logger", ""), form.get("level", "")
        if level not in LEVELS:
            return await look.message(400, "Unknown level", f"{level!r}: one of {', '.join(LEVELS)} was expected.")
        if name not in logger_names():
            return await look.message(400, "Unknown logger", f"{name!r}: one that /logconfig lists was expected.")
        if name == ROOT and level == INHERIT:
            return await look.message(400, "Unknown level", "There is nobody from whom ROOT could inherit its level.")
        logging.getLogger(None if name == ROOT else name).setLevel(LEVELS[level])
        _log.warning("the level of logger %s was set to %s", name, level)
        return await show_loggers()

    return blueprint


def logger_names() -> list[str]:
    """Of all loggers that there are, the one of all others first."""
    return [ROOT, *sorted(logging.root.manager.loggerDict)]


def logger_rows() -> list[LoggerRow]:
    rows = []
    for name in logger_names():
        logger = logging.getLogger(None if name == ROOT else name)
        rows.append(LoggerRow(name, level_name(logger.level), level_name(logger.getEffectiveLevel())))
    return rows


def level_name(level: int) -> str:
    """The strictest of `LEVELS` that lets through what is at this level."""
    if level == logging.NOTSET:
        return INHERIT
    return next(name for name, least in LEVELS.items() if level >= least)


def _contention_lines() -> Iterator[str]:
    yield "Locked threads:"
    for wait in introspection.waits():
        yield ""
        yield f"'{wait.name}'"
        yield f"Waiting for lock: {wait.what}"
        yield f"Lock is currently held by thread: {', '.join(wait.held_by) or 'nobody'}"
        yield from (f"    {place}" for place in reversed(wait.stack))
