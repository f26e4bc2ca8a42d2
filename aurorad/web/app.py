"""The scheduler's web application: its parts, what one request may take, and the counting of answers."""

from __future__ import annotations

import trio
from quart import Blueprint, Response, g
from quart.wrappers.response import DataBody
from quart_trio import QuartTrio

from aurorad.pages.heads import before_request
from aurorad.pages.look import protect
from aurorad.vars import Vars
from aurorad.web.bodies import bound_bodies
from aurorad.web.compression import compress
from aurorad.web.large import PIECE_BYTES, InPieces
from aurorad.web.short_way import ShortWay
from aurorad.web.thrift import MAX_BODY_BYTES


def scheduler_app(stats: Vars, *blueprints: Blueprint) -> QuartTrio:
    """Answers are counted and timed by status: ``http_<status>_responses_*`` (vars sheet, section 7)."""
    app = QuartTrio("aurorad", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    bound_bodies(app)
    app.config["RESPONSE_TIMEOUT"] = None  # the connection gives up on who does not read, not on who reads slowly
    stats.declare("http_500_responses_events")

    async def begin() -> None:
        g.began = trio.current_time()

    before_request(app, begin, lambda headers: True)

    @app.after_request
    async def end(response: Response) -> Response:
        answer = await compress(response)
        if type(answer.response) is DataBody and len(answer.response.data) > PIECE_BYTES:
            answer.response = InPieces(answer.response.data)
        stats.observe(f"http_{answer.status_code}_responses", trio.current_time() - g.began)
        return answer

    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    app.asgi_app = ShortWay(app, {end, protect}, stats)  # type: ignore[method-assign]  # which Quart advises
    return app
