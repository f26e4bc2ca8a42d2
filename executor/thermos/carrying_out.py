"""A task run by this process, to its end: with the runner that executors have, and nobody to report to."""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2

import click
import trio

from executor.checkpoint import CheckpointError, ProcessState, RunnerState, StreamHeld, TaskState
from executor.execution import wall_clock_ms
from executor.ledger import TaskDiffers
from executor.logger import Destination, LoggerSettings
from executor.paths import log_directory
from executor.process import close_all_but
from executor.runner import Runner
from executor.thermos.orders import Order, Refused, Wish, make_room, order_of

EXIT = {TaskState.SUCCESS: 0, TaskState.FAILED: 3, TaskState.KILLED: 4, TaskState.LOST: 5}
_ASKING = (SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1)
_STARTED = b"+"

_log = logging.getLogger("thermos")


def in_foreground(wish: Wish, *, shown: bool) -> int:
    """Runs the task to its end, and gives the exit status that tells of it; `shown` passes the output of processes on.

    Raises `Refused`.
    """
    order = order_of(wish, datetime.datetime.now())
    make_room(order)
    state = trio.run(_run, order, "both" if shown else "file", lambda: _tell_where(order))
    end = state.state
    assert end is not None
    for line in failures(order, state):
        click.echo(line, err=True)
    return EXIT[end]


def in_background(wish: Wish) -> int:
    """Leaves the task to a process of its own, which belongs to no terminal, once it has begun. Raises `Refused`."""
    order = order_of(wish, datetime.datetime.now())
    make_room(order)
    click.echo("Daemonizing and starting runner.")
    answer, answer_end = os.pipe()
    child = os.fork()
    if child == 0:
        _become_daemon(order, answer_end)
    os.close(answer_end)
    with os.fdopen(answer, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    if said != _STARTED.decode():
        raise Refused(said or "The runner ended before it began.")
    _tell_where(order)
    return 0


def _tell_where(order: Order) -> None:
    click.echo(f"Task {order.paths.task_id} runs in {order.sandbox}")


def _become_daemon(order: Order, answer: int) -> None:
    """Forks once more, so that it can never get a terminal."""
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(nothing, fd)
            close_all_but({0, 1, 2, answer})
            os.chdir("/")
            _run_daemon(order, answer)
        code = 0
    finally:
        os._exit(code)


def _run_daemon(order: Order, answer: int) -> None:
    def started() -> None:
        os.write(answer, _STARTED)
        os.close(answer)

    try:
        trio.run(_run, order, "file", started)
    except Refused as error:
        os.write(answer, str(error).encode(errors="replace"))


async def _run(order: Order, destination: Destination, started: Callable[[], None]) -> RunnerState:
    runner = Runner(
        order.task,
        order.paths,
        order.header,
        order.user,
        now_ms=wall_clock_ms,
        log=_log,
        path=os.environ.get("PATH"),
        logger=LoggerSettings(destination),
        chroot=order.chroot,
        max_runs=0,
    )
    with trio.open_signal_receiver(*_ASKING, SIGUSR2) as signals:
        _take_control(runner, order)
        started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, runner)
            await _run_to_end(runner, order)
            nursery.cancel_scope.cancel()
    return runner.state


def _take_control(runner: Runner, order: Order) -> None:
    task_id = order.paths.task_id
    try:
        runner.take_control()
    except StreamHeld:
        raise Refused(f"Task {task_id} is being run already (end it: thermos kill {task_id})") from None
    except (CheckpointError, TaskDiffers) as error:
        raise Refused(f"Task {task_id}: {error}") from None
    except OSError as error:
        raise Refused(f"Task {task_id} cannot be started: {error}") from None


async def _run_to_end(runner: Runner, order: Order) -> None:
    try:
        await runner.run()
    except Exception as error:
        _log.exception("The runner failed.")
        await runner.put_down()
        task_id = order.paths.task_id
        raise Refused(
            f"The runner failed, and killed all processes: {error} (to go on, give --task_id {task_id})"
        ) from None


async def _obey(signals: AsyncIterator[int], runner: Runner) -> None:
    """The first signal asks the task to end, the second ends it."""
    asked = False
    async for number in signals:
        if number == SIGUSR2:
            runner.kill(TaskState.LOST, wait_s=0)
        elif asked:
            runner.kill(wait_s=0)
        else:
            asked = True
            if number == SIGINT:
                click.echo("Got keyboard interrupt, killing job!  (Once more: at once.)", err=True)
            runner.kill()


def failures(order: Order, state: RunnerState) -> list[str]:
    """Which processes did not end well, and where their last words are."""
    logs = Path(order.header.log_dir or "")
    return [
        f"Process {name}: {runs[-1].state.name}, return code {runs[-1].return_code}, see "
        f"{log_directory(logs, name, len(runs) - 1)}"
        for name, runs in sorted(state.processes.items())
        if runs[-1].state in (ProcessState.FAILED, ProcessState.LOST)
    ]
