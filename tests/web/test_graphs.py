"""Statistics over time, as the page asks for them (http-endpoints sheet, section 5)."""

import json

import pytest
from quart_trio import QuartTrio

from aurorad.series import Series
from aurorad.vars import Vars
from aurorad.web.graphs import graph_endpoints
from aurorad.web.pages import scheduler_look


async def ask(path: str) -> tuple[int, object]:
    stats, times = Vars(), iter([1000, 2000, 3000])
    series = Series(stats, lambda: next(times))
    stats.count("a", 1)
    series.sample()
    stats.gauge("b/c", lambda: 0.25)
    series.sample()
    stats.count("a", 1)
    series.sample()
    app = QuartTrio(__name__, static_folder=None)
    app.register_blueprint(graph_endpoints(series, look := scheduler_look("here", lambda: 0)))
    app.register_blueprint(look.assets())
    answer = await app.test_client().get(path)
    return answer.status_code, json.loads(await answer.get_data()) if "data" in path else await answer.get_data()


@pytest.mark.parametrize(
    ("query", "status", "answer"),
    [
        ("", 200, ["a", "b/c"]),
        (
            "?metrics=a,b/c",
            200,
            {"names": ["time", "a", "b/c"], "data": [[1000, 1, None], [2000, 1, 0.25], [3000, 2, 0.25]]},
        ),
        ("?metrics=time,a&since=2000", 200, {"names": ["time", "a"], "data": [[3000, 2]]}),
        ("?metrics=a&since=3000", 200, {"names": ["time", "a"], "data": []}),
        ("?metrics=", 200, {"names": ["time"], "data": [[1000], [2000], [3000]]}),
        ("?metrics=a,nosuch", 404, {"error": "Unknown metric nosuch"}),
        ("?metrics=a&since=x", 400, {"error": "since=x: milliseconds since 1970 were expected"}),
    ],
)
@pytest.mark.parametrize("path", ["/graphdata", "/graphdata/"])
async def test_series_come_as_a_table(path: str, query: str, status: int, answer: object) -> None:
    assert await ask(f"{path}{query}") == (status, answer)


async def test_the_page_draws_with_a_script_of_ours() -> None:
    status, page = await ask("/graphview?query=rate(a)")
    assert isinstance(page, bytes)
    assert (status, b"/assets/graphs.js?" in page) == (200, True)
