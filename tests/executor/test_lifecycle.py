"""Asking a task to end over HTTP (executor sheet, section 10)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from executor.lifecycle import ask_to_end
from executor.task import HttpLifecycle, Lifecycle

LOG = logging.getLogger("test")
LIFECYCLE = Lifecycle(HttpLifecycle(graceful_shutdown_wait_secs=5, shutdown_wait_secs=7))


@asynccontextmanager
async def server(answer: bytes | None) -> AsyncIterator[tuple[dict[str, int], list[tuple[str, float]]]]:
    """Its ports, and what it was asked when; it answers everything alike, or not at all."""
    asked: list[tuple[str, float]] = []

    async def serve(stream: trio.SocketStream) -> None:
        request = await stream.receive_some()
        asked.append((bytes(request).split(b" HTTP/")[0].decode(), trio.current_time()))
        if answer is None:
            await trio.sleep_forever()
        else:
            await stream.send_all(answer)
            if b"length: 9" in answer:  # and never sends the rest
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield {"health": listeners[0].socket.getsockname()[1]}, asked
        nursery.cancel_scope.cancel()


async def ask(ports: dict[str, int], over: trio.Event | None = None, lifecycle: Lifecycle = LIFECYCLE) -> float:
    """How long it took."""
    start = trio.current_time()
    await ask_to_end(lifecycle, ports, over if over is not None else trio.Event(), LOG)
    return trio.current_time() - start


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
    ],
)
async def test_any_answer_is_worth_waiting_after(
    answer: bytes, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with server(answer) as (ports, asked):
        assert await ask(ports) >= 12
    assert [request for request, _ in asked] == ["POST /quitquitquit", "POST /abortabortabort"]
    assert asked[1][1] - asked[0][1] >= 5
    assert [record.message for record in caplog.records] == [
        "Killing task, calling /quitquitquit and waiting 5, handled is True",
        "Killing task, calling /abortabortabort and waiting 7, handled is True",
    ]


async def test_silence_is_not_waited_for(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("AURORA_HTTP_SIGNALER_TIMEOUT_SECS", "0.25")
    async with server(None) as (ports, asked):
        assert 0.5 <= await ask(ports) < 1
    assert len(asked) == 2
    assert caplog.records[0].message == "Killing task, calling /quitquitquit and waiting 5, handled is False"


async def test_a_task_that_ends_is_asked_no_more() -> None:
    over = trio.Event()
    async with (
        server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (ports, asked),
        trio.open_nursery() as nursery,
    ):

        async def end() -> None:
            while not asked:  # noqa: ASYNC110
                await trio.sleep(0.001)
            over.set()

        nursery.start_soon(end)
        await ask(ports, over)
    assert [request for request, _ in asked] == ["POST /quitquitquit"]


async def test_settings_that_make_no_sense_do_not_keep_a_task_from_ending() -> None:
    odd = Lifecycle(HttpLifecycle(graceful_shutdown_wait_secs=-1, shutdown_endpoint="/fin\u00e9"))
    async with server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (ports, asked):
        await ask(ports, lifecycle=odd)
    assert [request for request, _ in asked if request] == ["POST /quitquitquit"]


async def test_without_the_port_nobody_is_asked() -> None:
    assert await ask({"http": 1}) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf"])
async def test_a_timeout_that_is_none_is_told_and_one_second_taken(
    text: str,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("AURORA_HTTP_SIGNALER_TIMEOUT_SECS", text)
    async with server(None) as (ports, _):
        assert 2 <= await ask(ports) < 3
    assert caplog.records[0].message == (
        f"AURORA_HTTP_SIGNALER_TIMEOUT_SECS={text}: seconds were expected; 1 are taken"
    )
