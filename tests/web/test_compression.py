import gzip
from collections.abc import AsyncIterator

import pytest
from quart import Blueprint, Response
from quart.typing import TestClientProtocol as Client
from quart_trio import QuartTrio

from aurorad.vars import Vars
from aurorad.web.app import scheduler_app
from aurorad.web.compression import compress

GZIP = {"Accept-Encoding": "gzip, deflate"}
LARGE, HUGE = b"0123456789" * 500, b"0123456789" * 50_000


def client() -> Client:
    blueprint = Blueprint("any", __name__)

    @blueprint.route("/body/<which>/<path:type_>")
    async def body(which: str, type_: str) -> Response:
        return Response({"large": LARGE, "huge": HUGE, "small": b"x"}[which], content_type=type_)

    @blueprint.route("/error")
    async def error() -> Response:
        return Response(LARGE, 400, content_type="text/plain")

    return scheduler_app(Vars(), blueprint).test_client()


@pytest.mark.parametrize("which", ["large", "huge"])
@pytest.mark.parametrize(
    "type_", ["text/html; charset=utf-8", "application/json", "application/vnd.apache.thrift.json"]
)
async def test_a_large_answer_is_compressed_for_who_accepts_that(which: str, type_: str) -> None:
    answer = await client().get(f"/body/{which}/{type_}", headers=GZIP)
    data = await answer.get_data(as_text=False)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert answer.headers["Content-Length"] == str(len(data))
    assert gzip.decompress(data) == {"large": LARGE, "huge": HUGE}[which]


async def test_a_large_answer_arrives_whole() -> None:
    answer = await client().get("/body/huge/image/png")
    assert answer.headers["Content-Length"] == str(len(HUGE))
    assert await answer.get_data(as_text=False) == HUGE


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/body/large/text/html", {}),
        ("/body/large/text/html", {"Accept-Encoding": "br, gzip;q=0"}),
        ("/body/small/text/html", GZIP),
        ("/body/large/image/png", GZIP),
        ("/error", GZIP),
    ],
)
async def test_anything_else_stays_as_it_is(path: str, headers: dict[str, str]) -> None:
    answer = await client().get(path, headers=headers)
    data = await answer.get_data(as_text=False)
    assert "Content-Encoding" not in answer.headers
    assert data in (LARGE, b"x")


async def test_a_stream_is_passed_on_as_it_comes() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield LARGE

    async with QuartTrio("tests").test_request_context("/", headers=GZIP):
        answer = await compress(Response(pieces(), content_type="text/event-stream"))
    assert "Content-Encoding" not in answer.headers
