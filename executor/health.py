"""Is the task healthy: what attempts amount to, and the attempts themselves (executor sheet, section 9)."""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Self

import trio

from aurorad.engine.base import TaskState
from executor.checkers import Checker, Outcome, RunningTask
from executor.http import NoAnswer, ask
from executor.paths import HEALTH_CHECK_SNOOZE
from executor.sandbox import current_user
from executor.shell import run_shell
from executor.task import HealthCheckConfig, HttpHealthChecker

_SHORTEST_INTERVAL_S = 0.01  # jobs may say 0, or less

Check = Callable[[], Awaitable[str | None]]  # why it failed, or None
Shell = Callable[[str], Awaitable[str | None]]  # the same of a command

_log = logging.getLogger(__name__)


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
            grace = math.ceil(initial_s / max(config.interval_secs, _SHORTEST_INTERVAL_S))
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
            failure = None if snoozed() else await _attempt(check, log)
            if failure is not None:
                log.warning("Health check failed: %s", failure)
            health = judge(rule, health, failure)
            if health.running and not was_running:
                on_running()
        if health.reason is not None:
            return health.reason
        await trio.sleep(max(config.interval_secs, _SHORTEST_INTERVAL_S))


async def _attempt(check: Check, log: logging.Logger) -> str | None:
    try:
        return await check()
    except Exception as error:
        log.exception("A health check is broken.")
        return f"Internal health check error: {error}"


def health_checker(task: RunningTask) -> Checker:
    """Tells that the task runs: at once if nobody asked for checks, else when they say so; then why it is unhealthy."""
    config = task.instance.health_check_config
    check = find_check(config, task.ports, _shell_of(task, config.timeout_secs))
    snoozed = functools.partial(os.path.exists, task.directory.sandbox / HEALTH_CHECK_SNOOZE)

    async def watch() -> Outcome | None:
        if check is None:
            _log.info("No health-checks defined, will use a no-op health-checker.")
            task.tell_running("No health-check defined, task is assumed healthy.")
            return None
        reason = await watch_health(check, config, snoozed, lambda: task.tell_running("Task is healthy."), _log)
        if not task.active():  # a task that is ending need not be healthy
            return None
        return Outcome(TaskState.TASK_FAILED, f"Failed health check! {reason}")

    return watch


def _shell_of(task: RunningTask, timeout_s: float) -> Shell:
    user = current_user() if task.flags.nosetuid_health_checks else task.user

    async def shell(command: str) -> str | None:
        if task.image is None:
            argv: tuple[str, ...] = ("/bin/bash", "-c", command)
            become = user
        else:  # whoever starts it in the image needs our rights, and gives them up
            argv = task.image.command(command, user.name)
            become = current_user()
        return await run_shell(command, argv, become, task.directory.mounted, timeout_s)

    return shell


def find_check(config: HealthCheckConfig, ports: Mapping[str, int], run_in_shell: Shell) -> Check | None:
    """The check that a job asks for; the shell's wins over HTTP, which needs a port named ``health``."""
    shell, http = config.health_checker.shell, config.health_checker.http
    if shell is not None:
        return functools.partial(run_in_shell, shell.shell_command)
    if http is not None and "health" in ports:
        return functools.partial(_check_http, ports["health"], http, config.timeout_secs)
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
