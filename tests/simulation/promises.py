"""What jobs were promised, whenever a host is drained with patience: by own arithmetic, not the product's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from aurorad.api.tasks import HostMaintenanceRequest, ScheduledTask
from aurorad.storage.tables import Change, Table
from tests.simulation import legal
from tests.simulation.ledger import Ledger
from tests.simulation.trace import Trace

MIN_INSTANCES = 2
"""Of a job that keeps its promises: what `-min_required_instances_for_sla_check` is in the simulation."""


def judge_drains(tasks: Sequence[Change], ledger: Ledger, trace: Trace) -> None:
    """`tasks` are the tasks changed by one transaction, which is in the ledger: what it drained, it had to judge.

    They may have been promised different things, so each is judged by what there was at its turn.
    """
    for turn, change in enumerate(tasks):
        if change.before is None or change.after is None or change.before.status not in legal.ON_AGENT:
            continue
        new = change.after.task_events[len(change.before.task_events) :]
        drained = [event for event in new if event.status is legal.S.DRAINING]
        request = ledger.rows[Table.MAINTENANCE].get(change.after.assigned_task.slave_host)
        if drained and request is not None and not _is_forced(request, drained[0].timestamp):
            job = _as_it_was(ledger.job(change.after.assigned_task.task.job), tasks[turn + 1 :])
            _judge(change.after, request, drained[0].timestamp, job, trace)


def _as_it_was(job: Iterable[ScheduledTask], later: Sequence[Change]) -> list[ScheduledTask]:
    before = {change.key: change.before for change in later}
    states = [before.get(task.assigned_task.task_id, task) for task in job]
    return [task for task in states if task is not None]


def _is_forced(request: HostMaintenanceRequest, at_ms: int) -> bool:
    """Patience has ended; where there was none, a clock that is set back gives none."""
    return request.timeout_secs <= 0 or at_ms >= request.created_timestamp_ms + request.timeout_secs * 1000


def _judge(
    task: ScheduledTask,
    request: HostMaintenanceRequest,
    at_ms: int,
    job: Sequence[ScheduledTask],
    trace: Trace,
) -> None:
    policy = task.assigned_task.task.sla_policy or request.default_sla_policy
    counted = policy.count_sla_policy or policy.percentage_sla_policy if policy is not None else None
    active = [other for other in job if other.status in legal.ACTIVE]
    if policy is None or counted is None or len(active) < MIN_INSTANCES:
        return
    since_ms = at_ms - counted.duration_secs * 1000
    healthy = sum(1 for other in active if other.status is legal.S.RUNNING and _running_since(other) < since_ms)
    if policy.count_sla_policy is not None:
        promised = policy.count_sla_policy.count
    else:
        assert policy.percentage_sla_policy is not None
        promised = math.ceil(policy.percentage_sla_policy.percentage / 100 * len(active) - 1e-6)
    if healthy < min(promised, len(active) - 1):
        left = f"{healthy} of {len(active)} healthy"
        trace.violated("promises", f"{task.assigned_task.task_id} was drained: {left}, {promised} were promised")


def _running_since(task: ScheduledTask) -> int:
    return max(event.timestamp for event in task.task_events if event.status is legal.S.RUNNING)
