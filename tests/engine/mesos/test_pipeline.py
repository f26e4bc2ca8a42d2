from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, MockClock, memory_stream_pair

from aurorad.engine.mesos.ends import Lost, until_over
from aurorad.engine.mesos.pipeline import MOST_UNANSWERED, Pipeline

HEAD = b"POST /x HTTP/1.1\r\nHost: h\r\n"
ACCEPTED = b"HTTP/1.1 202 Accepted\r\nDate: now\r\nContent-Length: 0\r\n\r\n"

Pair = tuple[Pipeline, trio.StapledStream[MemorySendStream, MemoryReceiveStream]]


@contextlib.asynccontextmanager
async def pipeline() -> AsyncIterator[Pair]:
    """One that runs, and the master's end of it."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        it = Pipeline(ours, HEAD)
        nursery.start_soon(it.run)
        yield it, theirs
        nursery.cancel_scope.cancel()


async def test_requests_are_whole_and_need_no_answer_to_follow_each_other() -> None:
    async with pipeline() as (calls, master):
        await calls.call(b"one", lambda status, text: None)
        await calls.call(b"", lambda status, text: None)
        expected = HEAD + b"Content-Length: 3\r\n\r\none" + HEAD + b"Content-Length: 0\r\n\r\n"
        received = b""
        while len(received) < len(expected):
            received += await master.receive_some()
        assert received == expected


async def test_answers_come_in_order_however_they_are_cut() -> None:
    answers: list[tuple[int, int, str]] = []

    def answered(number: int, status: int, text: str) -> None:
        answers.append((number, status, text))

    async with pipeline() as (calls, master):
        for number in range(3):
            await calls.call(b"", partial(answered, number))
        told = ACCEPTED + b"HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno" + ACCEPTED
        for at in range(len(told)):
            await master.send_all(told[at : at + 1])
        await trio.testing.wait_all_tasks_blocked()
    assert answers == [(0, 202, ""), (1, 400, "no"), (2, 202, "")]


@pytest.mark.parametrize(
    "told",
    [
        b"HTTP/1.1 202 Accepted\r\n\r\n",
        b"HTTP/1.1 202 Accepted\r\nContent-Length: 2000000\r\n\r\n",
        b"hello\r\n\r\n",
        b"x" * 20_000,
        ACCEPTED + ACCEPTED,
        b"",
    ],
    ids=["no length", "too long", "no HTTP", "no end of its head", "more than was asked", "the end"],
)
async def test_what_is_no_answer_ends_it(told: bytes) -> None:
    ours, theirs = memory_stream_pair()
    calls = Pipeline(ours, HEAD)
    await calls.call(b"", lambda status, text: None)
    if told:
        await theirs.send_all(told)
    else:
        await theirs.aclose()
    with pytest.raises(Lost):
        await calls.run()


async def test_those_who_have_to_wait_are_sent_in_the_order_in_which_they_came() -> None:
    async with pipeline() as (calls, master), trio.open_nursery() as nursery:
        for _ in range(MOST_UNANSWERED):
            await calls.call(b"-", lambda status, text: None)
        for number in range(10):
            nursery.start_soon(calls.call, str(number).encode(), lambda status, text: None)
            await trio.testing.wait_all_tasks_blocked()
        await master.send_all(ACCEPTED * 10)
        await trio.testing.wait_all_tasks_blocked()
        sent = (await master.receive_some()).replace(HEAD + b"Content-Length: 1\r\n\r\n", b"")
        assert sent == b"-" * MOST_UNANSWERED + b"0123456789"


async def test_nobody_is_left_waiting_when_it_ends(quick_clock: MockClock) -> None:
    ours, _theirs = memory_stream_pair()
    calls = Pipeline(ours, HEAD)

    async def call_very_often() -> None:
        for _ in range(2 * MOST_UNANSWERED):
            await calls.call(b"", lambda status, text: None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call_very_often)
        with pytest.raises(Lost, match="answered no call for 30 s"):
            await calls.run()


async def test_the_first_end_is_the_end_of_all() -> None:
    ended = []

    async def ends() -> None:
        await trio.lowlevel.checkpoint()
        raise Lost("why")

    async def goes_on() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(True)

    with pytest.raises(Lost, match="why"):
        await until_over(goes_on, ends)
    assert ended == [True]
