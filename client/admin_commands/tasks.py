"""The commands of `aurora_admin` about single tasks (admin-commands sheet, sections 3.3 and 5)."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import msgspec

from aurorad.api import named_json
from aurorad.api.calls import (
    ForceTaskState,
    GetTasksStatus,
    PruneTasks,
    TriggerExplicitTaskReconciliation,
    TriggerImplicitTaskReconciliation,
)
from aurorad.api.enums import ACTIVE_STATES, ResponseCode, ScheduleStatus
from aurorad.api.struct import fields_of
from aurorad.api.tasks import AssignedTask, ExplicitReconciliationSettings, ScheduledTask, TaskConfig, TaskQuery
from client import arguments
from client.admin_commands.command import AdminCommand, ask
from client.errors import CommandError, Exit
from client.options import positive
from client.scheduler import messages
from client.session import Session

_FORMAT = "%role%/%name%/%instanceId% %status%"
_FIELD = re.compile(r"%(\w+)%")


def _query(given: Namespace, session: Session) -> None:
    states = _states(given.states)
    _refuse_expensive(given, states)
    query = TaskQuery(
        role=given.role,
        job_name=given.job,
        instance_ids=given.shards or frozenset(),
        statuses=frozenset(states),
    )
    line_of = _writer(given.listformat)
    response = session.scheduler(given.cluster).call(GetTasksStatus(query))
    if response.response_code is not ResponseCode.OK:
        raise CommandError(Exit.FATAL, f"Failed to query scheduler: {messages(response)}")
    result = response.result.schedule_status_result if response.result is not None else None
    for task in sorted(result.tasks if result is not None else (), key=_place):
        session.terminal.out(line_of(task))


def _refuse_expensive(given: Namespace, states: Collection[ScheduleStatus]) -> None:
    reasons = {
        "no role specified": given.role is None,
        "no job specified": given.job is None,
        "states outside ACTIVE states": not ACTIVE_STATES.issuperset(states),
    }
    for reason, holds in reasons.items():
        if holds and not given.force:
            raise CommandError(Exit.FATAL, f"--force is required for expensive queries ({reason})")


def _writer(form: str) -> Callable[[ScheduledTask], str]:
    """What writes a task as `form` says. Raises `CommandError` for a field that tasks do not have."""
    known = {
        name for kind in (ScheduledTask, AssignedTask, TaskConfig) for name in (field.name for field in fields_of(kind))
    }
    known |= {"role", "environment", "name"}
    if not known.issuperset(_FIELD.findall(form)):
        raise CommandError(Exit.FATAL, f"Unknown key in format string.  Valid keys are: {','.join(sorted(known))}")

    def line_of(task: ScheduledTask) -> str:
        job = task.assigned_task.task.job
        values = dict(_flat(msgspec.json.decode(named_json.encode(task))))
        values |= {"role": job.role, "environment": job.environment, "name": job.name}  # the job's, not its executor's
        return _FIELD.sub(lambda field: str(values.get(field[1], "")), form)

    return line_of


def _flat(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All fields, at whatever depth; of those with one name the outermost comes last."""
    for inner in value.values():
        if isinstance(inner, dict):
            yield from _flat(inner)
    yield from value.items()


def _place(task: ScheduledTask) -> tuple[str, str, str, int, str]:
    assigned, job = task.assigned_task, task.assigned_task.task.job
    return job.role, job.environment, job.name, assigned.instance_id, assigned.task_id


def _states(text: str) -> list[ScheduleStatus]:
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ScheduleStatus.__members__:
            known = ",".join(ScheduleStatus.__members__)
            raise CommandError(Exit.FATAL, f"Unknown state '{name}' specified.  Valid states are: {known}")
    return [ScheduleStatus[name] for name in names]


def _declare_query(parser: ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="also what may be many tasks")
    parser.add_argument("--shards", type=arguments.instances, metavar="N,N", help="instances such as 0,2,5-7")
    parser.add_argument("--states", default="RUNNING", metavar="S,S", help="(RUNNING)")
    parser.add_argument(
        "-l", "--listformat", default=_FORMAT, metavar="FORMAT", help="a line; %%field%% is a field of the task"
    )


def _prune(given: Namespace, session: Session) -> None:
    query = TaskQuery(
        role=given.role,
        environment=given.env,
        statuses=frozenset(_states(given.states or "")),
        limit=given.limit or 0,
    )
    response = session.scheduler(given.cluster).call(PruneTasks(query), repeatable=True)
    if response.response_code is not ResponseCode.OK:
        raise CommandError(Exit.FATAL, f"Failed to prune tasks: {messages(response)}")
    session.terminal.out("Tasks pruned.")


def _declare_prune(parser: ArgumentParser) -> None:
    parser.add_argument("--states", metavar="S,S", help="only these, all of them terminal")
    parser.add_argument("--role", help="only of this role")
    parser.add_argument("--env", help="only of this environment")
    parser.add_argument("--limit", type=positive, metavar="N", help="no more than so many")


def _reconcile(given: Namespace, session: Session) -> None:
    scheduler = session.scheduler(given.cluster)
    if given.type == "implicit":
        ask(scheduler, TriggerImplicitTaskReconciliation())
    else:
        ask(scheduler, TriggerExplicitTaskReconciliation(ExplicitReconciliationSettings(given.batch_size)))


def _declare_reconcile(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-t", "--type", choices=("explicit", "implicit"), default="explicit", help="of our tasks, or of the engine's"
    )
    parser.add_argument(
        "-b", "--batch_size", type=positive, metavar="N", help="so many at once; the scheduler's setting"
    )


def _force(given: Namespace, session: Session) -> None:
    states = _states(given.state)
    if len(states) != 1:
        raise CommandError(Exit.FATAL, f"{given.state!r}: one state was expected")
    ask(session.scheduler(given.cluster), ForceTaskState(given.task_id, states[0]))


QUERY = AdminCommand("cluster [role] [job]", _query, _declare_query)
PRUNE = AdminCommand("cluster", _prune, _declare_prune)
RECONCILE = AdminCommand("cluster", _reconcile, _declare_reconcile)
FORCE_STATE = AdminCommand("cluster task_id state", _force)
