"""The observer's web application (observer sheet, sections 5, 8 and 9)."""

from __future__ import annotations

from collections.abc import Callable

import trio
from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException
from werkzeug.routing import PathConverter

from aurorad.observer.context import Context, NotThere
from aurorad.observer.diagnostics import declare, diagnostics
from aurorad.observer.downloads import DownloadRoutes
from aurorad.observer.file_routes import FileRoutes
from aurorad.observer.json_routes import JsonRoutes
from aurorad.observer.observer import Observer
from aurorad.observer.page_routes import PageRoutes
from aurorad.observer.streams import StreamRoutes
from aurorad.observer.walk import Refused
from aurorad.pages.formats import spelled
from aurorad.pages.look import Look, protect
from aurorad.vars import Vars


def observer_app(
    observer: Observer,
    hostname: str,
    now_ms: Callable[[], int],
    statistics: Vars,
    stopping: trio.Event,
    scheduler_url: str | None = None,
) -> QuartTrio:
    """The pages of `observer`, whose `run` is run by the caller.

    `hostname` is this machine's, for titles; when `stopping` is set, logs are not followed any longer; `scheduler_url`
    is a link to the scheduler's pages, where there is one.
    """
    nav = [("/", "Tasks")] + ([(scheduler_url, "Scheduler")] if scheduler_url else [])
    look = Look("aurorad.observer", now_ms, home="/", part="observer", place=hostname, nav=nav)
    context = Context(observer, look)
    declare(statistics, observer, now_ms)
    app = QuartTrio(__name__, static_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # the connection gives up on who does not read, not on who reads slowly
    app.config["MAX_CONTENT_LENGTH"] = 0  # nothing is sent here
    app.url_map.converters["path"] = _AnyPath
    app.url_map.merge_slashes = False
    for group in (PageRoutes(context), JsonRoutes(context), FileRoutes(context), DownloadRoutes(context)):
        app.register_blueprint(group.blueprint())
    app.register_blueprint(StreamRoutes(context, stopping).blueprint())
    app.register_blueprint(look.assets())
    app.register_blueprint(diagnostics(statistics))
    app.after_request(protect)
    _answer_errors(app, look)
    return app


class _AnyPath(PathConverter):
    """Also of files with line breaks in their names."""

    regex = r"[^/](?s:.)*?"


def _answer_errors(app: QuartTrio, look: Look) -> None:
    @app.errorhandler(NotThere)
    async def not_there(error: NotThere) -> Response:
        return await look.message(404, error.title, *error.lines)

    @app.errorhandler(Refused)
    async def refused(error: Refused) -> Response:
        return await look.message(404, "No such file", f"Looked for: {spelled(str(error))}")

    app.register_error_handler(HTTPException, look.http_error)
