"""`aurora update list` (client-commands sheet, section 7.4)."""

from __future__ import annotations

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import NamedTuple

from aurorad.api import keys
from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, AWAITNG_PULSE_JOB_UPDATE_STATES, JobUpdateStatus
from aurorad.api.tasks import JobKey
from aurorad.api.updates import JobUpdateQuery, JobUpdateState, JobUpdateSummary
from client import options, updates
from client.command import Command
from client.errors import Exit
from client.session import Session

_ALL = frozenset(JobUpdateStatus)
_GROUPS = {
    "active": ACTIVE_JOB_UPDATE_STATES,
    "all": _ALL,
    "inactive": _ALL - ACTIVE_JOB_UPDATE_STATES,
    "blocked": AWAITNG_PULSE_JOB_UPDATE_STATES,
    "failed": frozenset({JobUpdateStatus.ERROR, JobUpdateStatus.FAILED, JobUpdateStatus.ROLLED_BACK}),
    "paused": frozenset({JobUpdateStatus.ROLL_FORWARD_PAUSED, JobUpdateStatus.ROLL_BACK_PAUSED}),
    "succeeded": frozenset({JobUpdateStatus.ROLLED_FORWARD}),
}
_NAMES = {status.name: frozenset({status}) for status in JobUpdateStatus}
_TITLES = ("JOB", "UPDATE ID", "STATUS", "CREATED BY", "STARTED", "LAST MODIFIED")
_WIDTHS = (47, 36, 15, 11, 19, 19)


class _Filter(NamedTuple):
    """What is not given matches all."""

    cluster: str
    role: str | None = None
    environment: str | None = None
    name: str | None = None


def job_filter(text: str) -> _Filter:
    parts = text.split("/")
    if not text:
        raise ArgumentTypeError("Update filter must be non-empty")
    if len(parts) > 4 or not all(parts):
        raise ArgumentTypeError("Update filter must be a path of the form CLUSTER/ROLE/ENV/JOB.")
    return _Filter(*parts)


def _statuses(text: str) -> frozenset[JobUpdateStatus]:
    found = _GROUPS.get(text) or _NAMES.get(text.upper())
    if found is None:
        raise ArgumentTypeError(f"{text!r}: one of {', '.join([*_GROUPS, *_NAMES])} was expected")
    return found


def _declare(parser: ArgumentParser) -> None:
    declare_filters(parser)
    parser.add_argument("which", type=job_filter, metavar="CLUSTER[/ROLE[/ENV[/JOB]]]", help="whose updates")


def declare_filters(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--status", type=_statuses, action="append", default=[], metavar="S", help="a status, or a group of them"
    )
    parser.add_argument("--user", metavar="NAME", help="only updates that this user started")
    options.write_json(parser)


def _run(given: Namespace, session: Session) -> int:
    which: _Filter = given.which
    scheduler = session.scheduler(which.cluster)
    found = [
        summary
        for summary in updates.summaries(scheduler, _query(which, given))
        if which.environment in (None, summary.key.job.environment)
    ]
    if given.write_json:
        session.terminal.out(json.dumps([_json(which.cluster, summary) for summary in found], indent=2))
    elif found:
        for row in (_TITLES, *(_row(which.cluster, summary) for summary in found)):
            columns = zip(row, _WIDTHS, strict=True)
            session.terminal.out(" ".join(f"{text:<{width}}" for text, width in columns).rstrip())
    return Exit.OK


def _query(which: _Filter, given: Namespace) -> JobUpdateQuery:
    statuses: frozenset[JobUpdateStatus] = frozenset().union(*given.status)
    if which.role is not None and which.environment is not None and which.name is not None:
        key = JobKey(which.role, which.environment, which.name)
        return JobUpdateQuery(job_key=key, user=given.user, update_statuses=statuses)
    return JobUpdateQuery(role=which.role, user=given.user, update_statuses=statuses)


def _row(cluster: str, summary: JobUpdateSummary) -> tuple[str, ...]:
    state = summary.state or JobUpdateState()
    return (
        f"{cluster}/{keys.canonical(summary.key.job)}",
        summary.key.id,
        state.status.name,
        summary.user or "",
        updates.utc(state.created_timestamp_ms),
        updates.utc(state.last_modified_timestamp_ms),
    )


def _json(cluster: str, summary: JobUpdateSummary) -> dict[str, str]:
    job, update_id, status, user, started, modified = _row(cluster, summary)
    return {
        "job": job,
        "id": update_id,
        "user": user,
        "started": started,
        "last_modified": modified,
        "status": status,
    }


LIST = Command(_declare, _run)
