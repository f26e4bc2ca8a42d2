"""Is the task healthy: what attempts amount to, and the attempts themselves (executor sheet, section 9)."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import trio

from executor.http import NoAnswer, ask
from executor.sandbox import User
from executor.shell import run_shell
from executor.task import HealthCheckConfig, HttpHealthChecker

Check = Callable[[], Awaitable[str | None]]  # why it failed, or None


class Rule(NamedTuple):
    """In attempts: how many may fail at first, how many there are to become healthy, and what is counted then."""

    grace: int
    allowed: int
    max_failures: int
    min_successes: int

    @classmethod
    def of(cls, config: HealthCheckConfig) -> Self:
        initial_s = config.initial_interval_secs
        if initial_s is None:
            grace = 2
        elif config.interval_secs > 0:
            grace = math.ceil(initial_s / config.interval_secs)
        else:
            grace = 0
        failures, successes = config.max_consecutive_failures, config.min_consecutive_successes
        return cls(grace, grace + failures + successes, failures, successes)


class Health(NamedTuple):
    """After some attempts: `running` once healthy, for good; `reason` once it is over."""

    attempts: int = 0
    successes: int = 0
    failures: int = 0
    running: bool = False
    reason: str | None = None


def begin(rule: Rule, health: Health) -> Health:
    """Before an attempt: whether there may be another one."""
    if not health.running and health.attempts > rule.allowed:
        return health._replace(reason="Not enough successful health checks in time.")
    return health


def judge(rule: Rule, health: Health, failure: str | None) -> Health:
    """After an attempt that failed for this reason, or succeeded."""
    number = health.attempts + 1
    after = health._replace(attempts=min(number, rule.allowed + 1))
    if failure is None:
        successes = health.successes + 1
        return after._replace(
            successes=successes, failures=0, running=health.running or successes >= rule.min_successes
        )
    after = after._replace(successes=0)
    if number <= rule.grace:
        return after
    left = rule.allowed - number
    after = after._replace(failures=health.failures + 1)
    if after.failures > rule.max_failures or (not health.running and 1 < left < rule.min_successes):
        return after._replace(reason=failure)
    return after


async def watch_health(
    check: Check,
    config: HealthCheckConfig,
    snoozed: Callable[[], bool],
    on_running: Callable[[], None],
    log: logging.Logger,
) -> str:
    """Checks until the task is unhealthy, and gives the reason; calls `on_running` once when it has become healthy.

    While `snoozed`, attempts succeed without a check.
    """
    rule, health = Rule.of(config), Health()
    while True:
        health = begin(rule, health)
        if health.reason is None:
            was_running = health.running
            failure = None if snoozed() else await check()
            if failure is not None:
                log.warning("Health check failed: %s", failure)
            health = judge(rule, health, failure)
            if health.running and not was_running:
                on_running()
        if health.reason is not None:
            return health.reason
        await trio.sleep(config.interval_secs)


def find_check(config: HealthCheckConfig, ports: Mapping[str, int], user: User, directory: Path) -> Check | None:
    """The check that a job asks for; the shell's wins over HTTP, which needs a port named ``health``."""
    shell, http = config.health_checker.shell, config.health_checker.http
    if shell is not None:
        command = shell.shell_command

        async def check_by_shell() -> str | None:
            return await run_shell(command, user, directory, config.timeout_secs)

        return check_by_shell
    if http is not None and "health" in ports:
        port, wanted = ports["health"], http

        async def check_by_http() -> str | None:
            return await _check_http(port, wanted, config.timeout_secs)

        return check_by_http
    return None


async def _check_http(port: int, wanted: HttpHealthChecker, timeout_s: float) -> str | None:
    try:
        answer = await ask("GET", port, wanted.endpoint, timeout_s)
    except NoAnswer as error:
        return f"Failed to signal http://localhost:{port}{wanted.endpoint}: {error}"
    ok = 200 <= answer.status < 300
    body = answer.body.decode(errors="replace").strip().lower() if ok else ""
    if wanted.expected_response and body != wanted.expected_response.lower():
        return (
            "Response differs from expected response "
            f'(expected "{_short(wanted.expected_response.lower())}", got "{_short(body)}")'
        )
    if wanted.expected_response_code and answer.status != wanted.expected_response_code:
        return (
            "Response code differs from expected response "
            f"(expected {wanted.expected_response_code}, got {answer.status})"
        )
    return None


def _short(text: str) -> str:
    return text if len(text) < 10 else f"{text[:7]}..."
