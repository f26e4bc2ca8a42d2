"""`aurora sla get-task-up-count | get-job-uptime` (client-commands sheet, section 9.3)."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from aurorad.api.calls import GetTasksWithoutConfigs
from aurorad.api.enums import LIVE_STATES
from aurorad.api.tasks import TaskQuery
from client import arguments, options, sla
from client.arguments import JobPath
from client.command import Command
from client.errors import Exit
from client.scheduler import messages
from client.session import Session

_UNITS = (("days", 86400), ("hrs", 3600), ("mins", 60), ("secs", 1))


def _durations(text: str) -> tuple[int, ...]:
    return tuple(sorted({arguments.duration(part) for part in text.split(",")}))


def _percentiles(text: str) -> tuple[float, ...]:
    return tuple(sorted({_percentile(part) for part in text.split(",")}, reverse=True))


def _percentile(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 100:
        raise ArgumentTypeError(f"Invalid percentile value:{text}. Must be between 0.0 and 100.0 exclusive.")
    return value


def _declare_up_count(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--durations",
        type=_durations,
        default="1m,10m,1h,12h,7d",
        metavar="D,D,...",
        help="for how long, such as 1d2h30m15s (1m,10m,1h,12h,7d)",
    )
    options.job_key(parser)


def _up_count(given: Namespace, session: Session) -> int:
    there = _uptimes(given, session)
    for seconds in given.durations:
        session.terminal.out(f"{_show(seconds)}\t- {sla.up_share(there, seconds):.2f} %")
    return Exit.OK


def _declare_uptime(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--percentiles",
        type=_percentiles,
        default="99,95,90,85,75,60,50,30,10",
        metavar="P,P,...",
        help="which shares, in percent (99,95,90,85,75,60,50,30,10)",
    )
    options.job_key(parser)


def _uptime(given: Namespace, session: Session) -> int:
    there = _uptimes(given, session)
    for percentile in given.percentiles:
        reached = sla.uptime_of_share(there, percentile)
        session.terminal.out(f"{percentile} percentile\t- {float(reached)} seconds")
    return Exit.OK


def _uptimes(given: Namespace, session: Session) -> list[int]:
    """A job that the scheduler does not tell of counts as one without tasks."""
    path: JobPath = given.job
    query = TaskQuery(job_keys=frozenset({path.key}), statuses=LIVE_STATES)
    response = session.scheduler(path.cluster).call(GetTasksWithoutConfigs(query))
    session.terminal.info(f"Response from scheduler: {response.response_code.name} (message: {messages(response)})")
    result = response.result.schedule_status_result if response.result is not None else None
    return sla.uptimes(result.tasks if result is not None else (), session.outside.wall())


def _show(seconds: int) -> str:
    """In the largest unit that divides it."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0 and (seconds or size == 1))
    return f"{seconds // size} {unit}"


UP_COUNT = Command(_declare_up_count, _up_count)
UPTIME = Command(_declare_uptime, _uptime)
