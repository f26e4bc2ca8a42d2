"""``/graphview`` draws statistics over time, from ``/graphdata`` (http-endpoints sheet, section 5)."""

from __future__ import annotations

import msgspec
import trio
from quart import Blueprint, Response, request

from aurorad.pages.look import Look
from aurorad.series import Series, UnknownMetric

_TIME = "time"
_MOST_DIGITS = 18  # of a time in milliseconds


def graph_endpoints(series: Series, look: Look) -> Blueprint:
    blueprint = Blueprint("graphs", __name__)

    @blueprint.get("/graphview", strict_slashes=False)
    @blueprint.get("/graphview/index.html")
    async def view() -> Response:
        return await look.page("graphview.html")

    @blueprint.get("/graphdata", strict_slashes=False)
    async def data() -> Response:
        if "metrics" not in request.args:
            return _json(series.names())
        names = [name for name in request.args["metrics"].split(",") if name not in ("", _TIME)]
        since = request.args.get("since", "0")
        if not since.isascii() or not since.isdecimal() or len(since) > _MOST_DIGITS:
            return _json({"error": f"since={since}: milliseconds since 1970 were expected"}, 400)
        try:
            rows = series.since(dict.fromkeys(names), int(since))
        except UnknownMetric as error:
            return _json({"error": f"Unknown metric {error}"}, 404)
        table = {"names": [_TIME, *names], "data": [[time_ms, *map(values.get, names)] for time_ms, values in rows]}
        return Response(await trio.to_thread.run_sync(msgspec.json.encode, table), content_type="application/json")

    return blueprint


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, content_type="application/json")
