"""The observer's web application (observer sheet, sections 5, 8 and 9)."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

import msgspec
from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException
from werkzeug.routing import PathConverter

from aurorad.observer.context import Context, NotThere
from aurorad.observer.file_routes import FileRoutes
from aurorad.observer.files import Refused
from aurorad.observer.json_routes import JsonRoutes
from aurorad.observer.observer import Observer
from aurorad.observer.page_routes import PageRoutes
from aurorad.pages.look import Look, protect
from aurorad.vars import Vars


def observer_app(
    observer: Observer, hostname: str, now_ms: Callable[[], int], statistics: Vars, scheduler_url: str | None = None
) -> QuartTrio:
    """The pages of `observer`, whose `run` is run by the caller.

    `hostname` is this machine's, for titles; `scheduler_url` a link to the scheduler's pages, where there is one.
    """
    nav = [("/", "Tasks")] + ([(scheduler_url, "Scheduler")] if scheduler_url else [])
    look = Look("aurorad.observer", now_ms, home="/", part="observer", place=hostname, nav=nav)
    context = Context(observer, look)
    _declare(statistics, observer, now_ms)
    app = QuartTrio(__name__, static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # the connection gives up on who does not read, not on who reads slowly
    app.config["MAX_CONTENT_LENGTH"] = 0  # nothing is sent here
    app.url_map.converters["path"] = _AnyPath
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the order of the sheet
    for blueprint in (PageRoutes(context), JsonRoutes(context), FileRoutes(context)):
        app.register_blueprint(blueprint.blueprint())
    app.register_blueprint(look.assets())
    app.after_request(protect)
    _answer_errors(app, look)
    _diagnostics(app, statistics)
    return app


class _AnyPath(PathConverter):
    """Also of files with line breaks in their names."""

    regex = r"[^/](?s:.)*?"


def _declare(statistics: Vars, observer: Observer, now_ms: Callable[[], int]) -> None:
    started_ms = now_ms()
    statistics.gauge("sys.uptime", lambda: (now_ms() - started_ms) / 1000)
    statistics.gauge("sys.version", lambda: sys.version.replace("\n", " "))
    statistics.gauge("sys.platform", lambda: sys.platform)
    statistics.gauge("sys.executable", lambda: sys.executable)
    statistics.gauge("sys.uname", lambda: " ".join(platform.uname()))
    statistics.gauge("observer_active_tasks", lambda: len(observer.ids("active")))
    statistics.gauge("observer_finished_tasks", lambda: len(observer.ids("finished")))


def _answer_errors(app: QuartTrio, look: Look) -> None:
    @app.errorhandler(NotThere)
    async def not_there(error: NotThere) -> Response:
        return await look.message(404, error.title, *error.lines)

    @app.errorhandler(Refused)
    async def refused(error: Refused) -> Response:
        return await look.message(404, "No such file", f"Looked for: {error}")

    app.register_error_handler(HTTPException, look.http_error)


def _diagnostics(app: QuartTrio, statistics: Vars) -> None:
    @app.get("/vars")
    async def all_vars() -> Response:
        return _text("".join(f"{name} {value}\n" for name, value in statistics.snapshot().items()))

    @app.get("/vars/<name>")
    async def one_var(name: str) -> Response:
        values = statistics.snapshot()
        return _text(str(values[name])) if name in values else _text("Unknown exported variable", 404)

    @app.get("/vars.json")
    async def json_vars() -> Response:
        return Response(msgspec.json.encode(statistics.snapshot()), content_type="application/json")

    @app.get("/health")
    async def health() -> Response:
        return _text("OK")


def _text(words: str, status: int = 200) -> Response:
    return Response(words, status, content_type="text/plain; charset=utf-8")
