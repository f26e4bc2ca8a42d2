"""What clients send at the same time, in bytes, may be only so much."""

from __future__ import annotations

import trio
import trio.testing
from quart import Blueprint, request
from quart_trio import QuartTrio

from aurorad.web.bodies import bound_bodies
from tests.web.serving import served

_BIG = b"x" * (256 << 10)


def app() -> QuartTrio:
    made = QuartTrio(__name__, static_folder=None)
    bound_bodies(made, most_bytes=len(_BIG) * 3 // 2)

    @made.post("/read")
    async def read() -> str:
        return str(len(await request.get_data()))

    return made


async def test_who_sends_more_than_there_is_room_for_comes_again() -> None:
    made = app()
    client = made.test_client()
    async with client.request("/read", method="POST") as first:
        await first.send(_BIG)
        await trio.testing.wait_all_tasks_blocked()
        second = await client.post("/read", data=_BIG)
        assert (second.status_code, second.headers["Retry-After"]) == (503, "1")
        assert (await client.post("/read", data=b"little")).status_code == 200
        await first.send_complete()
    answer = await first.as_response()
    assert (answer.status_code, await answer.get_data()) == (200, str(len(_BIG)).encode())


async def test_what_was_answered_leaves_room_for_others() -> None:
    client = app().test_client()
    for _ in range(5):
        assert (await client.post("/read", data=_BIG)).status_code == 200


async def test_a_body_that_is_too_large_alone_is_told_so_too() -> None:
    assert (await app().test_client().post("/read", data=_BIG * 2)).status_code == 503


async def test_who_goes_away_leaves_room_for_others() -> None:
    blueprint = Blueprint("reading", __name__)
    gone = trio.Event()

    @blueprint.post("/read")
    async def read() -> str:
        try:
            return str(len(await request.get_data()))
        finally:
            gone.set()

    blueprint.record(lambda state: bound_bodies(state.app, most_bytes=len(_BIG) * 3 // 2))  # type: ignore[arg-type]  # a QuartTrio
    head = b"POST /read HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    async with served(blueprint) as it:
        async with await trio.open_tcp_stream("127.0.0.1", it.port) as stream:
            await stream.send_all(head % (len(_BIG) + 1) + _BIG)
            await trio.testing.wait_all_tasks_blocked(0.02)
        await gone.wait()
        answer = await it.exchange(head % len(_BIG) + _BIG)
    assert answer.startswith(b"HTTP/1.1 200 OK")
