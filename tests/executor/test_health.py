"""What attempts at a health check amount to (executor sheet, section 9)."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import trio

from executor.health import Health, Rule, begin, find_check, judge, watch_health
from executor.task import HealthCheckConfig, HealthChecker, HttpHealthChecker

LATE = "Not enough successful health checks in time."


def config(
    initial: float | None, failures: int = 0, successes: int = 1, interval: float = 10.0, timeout: float = 5.0
) -> HealthCheckConfig:
    return HealthCheckConfig(
        initial_interval_secs=initial,
        interval_secs=interval,
        max_consecutive_failures=failures,
        min_consecutive_successes=successes,
        timeout_secs=timeout,
    )


def story(rule: Rule, attempts: str) -> str:
    """One letter an attempt, ``+`` or ``-``; gives one each: starting, Running, or X and no more."""
    health, told = Health(), ""
    for attempt in attempts:
        health = begin(rule, health)
        if health.reason is None:
            health = judge(rule, health, None if attempt == "+" else "no")
        told += "X" if health.reason else "R" if health.running else "s"
        if health.reason:
            break
    return told


@pytest.mark.parametrize(
    ("config", "attempts", "told"),
    [
        (config(None), "+", "R"),
        (config(None), "-+", "sR"),
        (config(None), "---", "ssX"),
        (config(None), "+-", "RR"),
        (config(None), "+--", "RRX"),
        (config(0), "-", "X"),
        (config(0), "+-", "RX"),
        (config(15, 2, 4), "--------", "ssssX"),
        (config(15, 2, 2), "++---", "sRRRX"),
        (config(15, 2, 2), "++--+---", "sRRRRRRX"),
        (config(0, 3, 2), "+-+-+-+-", "ssssssX"),
    ],
)
def test_attempts_add_up_as_in_the_examples(config: HealthCheckConfig, attempts: str, told: str) -> None:
    assert story(Rule.of(config), attempts) == told


def test_a_task_that_never_succeeds_often_enough_is_given_up() -> None:
    rule = Rule(grace=0, allowed=2, max_failures=9, min_successes=1)
    assert begin(rule, Health(attempts=2)).reason is None
    assert begin(rule, Health(attempts=3)).reason == LATE
    assert begin(rule, Health(attempts=3, running=True)).reason is None


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        (config(None), Rule(2, 3, 0, 1)),
        (config(15.0), Rule(2, 3, 0, 1)),
        (config(0.0, 1, 2), Rule(0, 3, 1, 2)),
        (config(15.0, interval=0.0), Rule(0, 1, 0, 1)),
        (config(15.0, interval=1e-320), Rule(1500, 1501, 0, 1)),
    ],
)
def test_intervals_become_attempts(settings: HealthCheckConfig, rule: Rule) -> None:
    assert Rule.of(settings) == rule


class TestWatching:
    async def test_it_tells_once_that_the_task_runs_and_then_why_it_does_not(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        results = iter(["no", None, None, "dead"])
        told: list[float] = []

        async def check() -> str | None:
            return next(results)

        reason = await watch_health(
            check, config(5), lambda: False, lambda: told.append(trio.current_time()), logging.getLogger("test")
        )
        assert reason == "dead"
        assert len(told) == 1

    async def test_a_snoozed_check_succeeds_without_being_made(self, autojump_clock: trio.testing.MockClock) -> None:
        asked = 0

        async def check() -> str | None:
            nonlocal asked
            asked += 1
            return "bad"

        snoozed = iter([True, True, False])
        told: list[None] = []
        reason = await watch_health(
            check, config(0), lambda: next(snoozed), lambda: told.append(None), logging.getLogger("test")
        )
        assert (reason, asked, len(told)) == ("bad", 1, 1)

    async def test_a_check_that_breaks_is_a_failure(self, autojump_clock: trio.testing.MockClock) -> None:
        async def check() -> str | None:
            raise KeyError("x")

        reason = await watch_health(check, config(0), lambda: False, lambda: None, logging.getLogger("test"))
        assert reason == "Internal health check error: 'x'"

    async def test_snoozed_and_without_interval_it_still_sleeps(self, autojump_clock: trio.testing.MockClock) -> None:
        asked = 0

        async def check() -> str | None:
            raise AssertionError

        def snoozed() -> bool:
            nonlocal asked
            asked += 1
            return True

        with trio.move_on_after(1):
            await watch_health(check, config(0, interval=0), snoozed, lambda: None, logging.getLogger("test"))
        assert asked <= 101


async def no_shell(command: str) -> str | None:
    raise AssertionError(command)


@pytest.fixture
def free_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]


class TestHttp:
    async def ask(self, answer: bytes | None, wanted: HttpHealthChecker, timeout: float = 5.0) -> str | None:
        async def serve(stream: trio.SocketStream) -> None:
            request = await stream.receive_some()
            assert request.startswith(b"GET /health HTTP/1.1\r\n")
            if answer is None:
                await trio.sleep_forever()
            else:
                await stream.send_all(answer)

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            self.port = listeners[0].socket.getsockname()[1]
            settings = HealthCheckConfig(health_checker=HealthChecker(http=wanted), timeout_secs=timeout)
            check = find_check(settings, {"health": self.port}, no_shell)
            assert check is not None
            reason = await check()
            nursery.cancel_scope.cancel()
        return reason

    @pytest.mark.parametrize(
        ("answer", "wanted", "reason"),
        [
            (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nOK\r\n", HttpHealthChecker(), None),
            (b"HTTP/1.0 200 OK\r\n\r\nok", HttpHealthChecker(), None),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nnot ok",
                HttpHealthChecker(),
                'Response differs from expected response (expected "ok", got "not ok")',
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789",
                HttpHealthChecker(),
                'Response differs from expected response (expected "ok", got "0123456...")',
            ),
            (
                b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\nok",
                HttpHealthChecker(expected_response="", expected_response_code=200),
                "Response code differs from expected response (expected 200, got 500)",
            ),
            (b"HTTP/1.1 404 Oh\r\ncontent-length: 2\r\n\r\nok", HttpHealthChecker(expected_response=""), None),
        ],
    )
    async def test_answers_are_compared(self, answer: bytes, wanted: HttpHealthChecker, reason: str | None) -> None:
        assert await self.ask(answer, wanted) == reason

    async def test_a_redirect_is_an_answer_and_is_not_followed(self) -> None:
        moved = b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere.invalid/\r\ncontent-length: 2\r\n\r\nok"
        assert await self.ask(moved, HttpHealthChecker()) == (
            'Response differs from expected response (expected "ok", got "")'
        )
        wanted = HttpHealthChecker(expected_response="", expected_response_code=302)
        assert await self.ask(moved, wanted) is None

    async def test_of_a_huge_body_only_the_beginning_is_read(self) -> None:
        huge = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n" + b"x" * 500_000
        assert await self.ask(huge, HttpHealthChecker()) == (
            'Response differs from expected response (expected "ok", got "xxxxxxx...")'
        )

    async def test_both_wrong_is_told_of_the_body(self) -> None:
        wanted = HttpHealthChecker(expected_response_code=201)
        reason = await self.ask(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", wanted)
        assert reason == 'Response differs from expected response (expected "ok", got "no")'

    @pytest.mark.parametrize("part", [b"HTTP/1.1 200 OK\r\nx: ", b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"])
    async def test_one_that_drips_is_no_answer(self, part: bytes, autojump_clock: trio.testing.MockClock) -> None:
        async def serve(stream: trio.SocketStream) -> None:
            await stream.send_all(part)
            with contextlib.suppress(trio.BrokenResourceError):
                while True:
                    await trio.sleep(1)
                    await stream.send_all(b"x")

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            check = find_check(HealthCheckConfig(timeout_secs=5), {"health": port}, no_shell)
            assert check is not None
            assert await check() == f"Failed to signal http://localhost:{port}/health: Error within TimeoutError"
            nursery.cancel_scope.cancel()

    async def test_a_target_that_is_none_is_a_reason(self) -> None:
        settings = HealthCheckConfig(health_checker=HealthChecker(http=HttpHealthChecker(endpoint="/a b\r\nx: y")))
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_tcp, lambda stream: stream.aclose(), 0, host="127.0.0.1")
            )
            check = find_check(settings, {"health": listeners[0].socket.getsockname()[1]}, no_shell)
            assert check is not None
            reason = await check()
            nursery.cancel_scope.cancel()
        assert reason is not None
        assert reason.endswith(": Error within LocalProtocolError")

    async def test_no_http_is_no_answer(self) -> None:
        reason = await self.ask(b"hello\r\n\r\n", HttpHealthChecker())
        assert reason == f"Failed to signal http://localhost:{self.port}/health: Error within RemoteProtocolError"

    async def test_silence_is_no_answer(self, autojump_clock: trio.testing.MockClock) -> None:
        reason = await self.ask(None, HttpHealthChecker())
        assert reason == f"Failed to signal http://localhost:{self.port}/health: Error within TimeoutError"

    async def test_nobody_listening_is_no_answer(self, free_port: int) -> None:
        check = find_check(HealthCheckConfig(), {"health": free_port}, no_shell)
        assert check is not None
        reason = await check()
        assert reason is not None
        assert reason.startswith(f"Failed to signal http://localhost:{free_port}/health: [Errno 111] ")
        assert reason.endswith("Connection refused")

    async def test_a_port_that_is_none_is_nobody_elses(self) -> None:
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_tcp, lambda stream: stream.aclose(), 0, host="127.0.0.1")
            )
            port = listeners[0].socket.getsockname()[1] + 65536
            check = find_check(HealthCheckConfig(), {"health": port}, no_shell)
            assert check is not None
            assert await check() == f"Failed to signal http://localhost:{port}/health: port must be 0-65535"
            nursery.cancel_scope.cancel()

    async def test_without_a_health_port_nothing_is_checked(self) -> None:
        assert find_check(HealthCheckConfig(), {"http": 1}, no_shell) is None


async def test_callables_are_not_called_before_they_are_due() -> None:
    never: Callable[[], None] = lambda: pytest.fail("too early")  # noqa: E731

    async def check() -> str | None:
        await trio.sleep_forever()

    with trio.move_on_after(0.01):
        await watch_health(check, config(0), lambda: False, never, logging.getLogger("test"))
