"""The agent's socket, and clients that behave as none of ours does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio

from aurorad.engine import executor_api as api
from aurorad.engine.local import server
from aurorad.engine.local.server import Refusal, Subscription

CALL = msgspec.json.encode(api.Call("MESSAGE", api.Id("f-1"), api.Id("e-1")))


class Answers:
    """Takes every call but those of the executor ``unknown``."""

    def __init__(self) -> None:
        self.calls: list[api.Call] = []

    async def accept(self, call: api.Call, token: str) -> Subscription | None:
        if call.executor_id.value == "unknown":
            raise Refusal(401, "who?")
        self.calls.append(call)
        return None

    def lost(self, call: api.Call, subscription: Subscription) -> None:
        raise AssertionError("nobody subscribed")


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Answers, str]]:
    answers = Answers()
    listener = api.listen(folder / "agent.sock")
    async with listener, trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, listener, server.Agent(answers.accept, answers.lost))
        yield answers, f"unix:{folder / 'agent.sock'}"
        nursery.cancel_scope.cancel()


async def said(endpoint: str, request: bytes) -> bytes:
    """All that is answered until the other side closes."""
    with trio.fail_after(10):
        async with await api.connect(endpoint) as stream:
            await stream.send_all(request)
            return b"".join([data async for data in stream])


@pytest.mark.parametrize("start", [b"POST %b HTTP/1.1\r\nhost: a\r\nconnection: close", b"POST %b HTTP/1.0"])
async def test_a_client_that_wants_no_further_call_is_answered_and_left(tmp_path: Path, start: bytes) -> None:
    async with served(tmp_path) as (answers, endpoint):
        request = b"%b\r\ncontent-length: %d\r\n\r\n%b" % (start % api.PATH.encode(), len(CALL), CALL)
        for _ in range(2):
            assert (await said(endpoint, request)).startswith(b"HTTP/1.1 202 ")
        assert len(answers.calls) == 2


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", 400),
        (b"GET /api/v1/executor HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 405),
        (b"POST /elsewhere HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", 404),
        (b"POST /api/v1/executor HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}", 400),
    ],
)
async def test_what_is_no_call_is_refused_and_harms_nobody(tmp_path: Path, request_: bytes, status: int) -> None:
    async with served(tmp_path) as (answers, endpoint):
        assert b"HTTP/1.1 %d " % status in await said(endpoint, request_)
        good = b"POST %b HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (api.PATH.encode(), len(CALL), CALL)
        assert b"202" in await said(endpoint, good)
        assert len(answers.calls) == 1
