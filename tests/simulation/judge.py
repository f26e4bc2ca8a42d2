"""What must hold of the truth after every transaction, by rules of its own: nothing here asks the product's rules."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence

from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, MaintenanceMode
from aurorad.api.tasks import Constraint, JobKey, ScheduledTask, TaskConfig
from aurorad.api.updates import JobUpdateDetails, Range
from aurorad.storage.tables import Change, Table
from tests.simulation import legal
from tests.simulation.amounts import requested
from tests.simulation.ledger import Ledger
from tests.simulation.promises import judge_drains
from tests.simulation.trace import Trace

_ENDS = {
    JobUpdateAction.INSTANCE_UPDATED: JobUpdateAction.INSTANCE_UPDATING,
    JobUpdateAction.INSTANCE_UPDATE_FAILED: JobUpdateAction.INSTANCE_UPDATING,
    JobUpdateAction.INSTANCE_ROLLED_BACK: JobUpdateAction.INSTANCE_ROLLING_BACK,
    JobUpdateAction.INSTANCE_ROLLBACK_FAILED: JobUpdateAction.INSTANCE_ROLLING_BACK,
}
_FAILURES = {
    JobUpdateAction.INSTANCE_UPDATING: JobUpdateAction.INSTANCE_UPDATE_FAILED,
    JobUpdateAction.INSTANCE_ROLLING_BACK: JobUpdateAction.INSTANCE_ROLLBACK_FAILED,
}


PREEMPTIBLE = ("preemptible", "revocable")


class Judge:
    """Told of every transaction that is in the log, in its order."""

    def __init__(self, trace: Trace, ledger: Ledger, ended: Callable[[ScheduledTask], None] = lambda _: None) -> None:
        """`ended` is told of each task that has ended."""
        self._trace = trace
        self._ledger = ledger
        self._ended = ended

    def durable(self, changes: Sequence[Change]) -> None:
        self._ledger.apply(changes)
        for change in changes:
            self._narrate(change)
        tasks = _merged(change for change in changes if change.table is Table.TASKS)
        successors = {
            change.after.ancestor_id: change.after
            for change in tasks
            if change.before is None and change.after is not None
        }
        for change in tasks:
            self._task(change, successors)
        judge_drains(tasks, self._ledger, self._trace)
        self._cron_runs([change.after for change in tasks if _is_new(change)])
        self._placed([change.after for change in tasks if _is_placed(change)])
        jobs = {task.assigned_task.task.job: None for change in tasks for task in change[2:] if task is not None}
        for job in jobs:
            self._one_task_an_instance(job)
        updates = _merged(change for change in changes if change.table is Table.UPDATES)
        for change in updates:
            if change.after is not None:
                self._update(change.before, change.after)
        if any(change.before is None for change in (*tasks, *updates)):
            self._quotas((*tasks, *updates))

    def _narrate(self, change: Change) -> None:
        match change.table:
            case Table.TASKS:
                after = change.after.status.name if change.after is not None else "forgotten"
                place = f" on {change.after.assigned_task.slave_host}" if after == "ASSIGNED" else ""
                self._trace("log", f"{change.key} {after}{place}")
            case Table.UPDATES if change.after is not None:
                events = change.after.update_events
                steps = [f"{event.instance_id} {event.action.name}" for event in change.after.instance_events[-1:]]
                self._trace("log", f"update {change.key.id} {[e.status.name for e in events[-1:]]} {steps}")
            case _:
                self._trace("log", f"{change.table} {change.key}")

    # Tasks.

    def _task(self, change: Change, successors: dict[str | None, ScheduledTask]) -> None:
        before, after = change.before, change.after
        if after is None:
            if before is not None and before.status not in legal.MAY_BE_FORGOTTEN:
                self._trace.violated("legal transitions", f"{change.key} was forgotten in {before.status.name}")
            return
        if before is None:
            before = legal.as_it_began(after)
            if before.status not in (legal.S.PENDING, legal.S.THROTTLED):
                self._trace.violated("legal transitions", f"{change.key} began in {before.status.name}")
        if after.status is legal.S.PREEMPTING and before.status is not legal.S.PREEMPTING:
            self._preempted(after)
        wrong = legal.wrong_step(before, after)
        if wrong is not None:
            self._trace.violated("legal transitions", f"{change.key}: {wrong}")
        elif after.status in legal.ENDED and before.status not in legal.ENDED:
            self._successor(before, after, successors.get(change.key))
            self._ended(after)

    def _preempted(self, victim: ScheduledTask) -> None:
        """Only what may be preempted gives way, and only to what may preempt it (scheduling sheet, 6.3)."""
        text = victim.task_events[-1].message or ""
        winners = self._ledger.versions.get(text.removeprefix("Preempting in favor of "))
        if not winners:
            self._trace.violated("who preempts whom", f"{victim.assigned_task.task_id}: {text}")
            return
        loser, winner = victim.assigned_task.task, winners[-1].assigned_task.task
        by_tier = loser.tier in PREEMPTIBLE and winner.tier not in PREEMPTIBLE
        same = (loser.tier in PREEMPTIBLE) == (winner.tier in PREEMPTIBLE) and loser.job.role == winner.job.role
        if not by_tier and not (same and winner.priority > loser.priority):
            self._trace.violated("who preempts whom", f"{victim.assigned_task.task_id}: {text}")

    def _successor(self, before: ScheduledTask, after: ScheduledTask, successor: ScheduledTask | None) -> None:
        task_id = after.assigned_task.task_id
        wanted = legal.has_successor(before, after)
        if wanted != (successor is not None):
            what = "has no successor" if wanted else "has a successor"
            self._trace.violated("an instance lives on", f"{task_id} {after.status.name} {what}")
        elif successor is not None:
            old, new = after.assigned_task, successor.assigned_task
            if (old.task, old.instance_id, after.failure_count) != (new.task, new.instance_id, successor.failure_count):
                self._trace.violated("an instance lives on", f"{new.task_id} is not what {task_id} was")

    def _cron_runs(self, new: Sequence[ScheduledTask]) -> None:
        """A run of a cron job begins when nothing of the one before is left, whatever the collision policy."""
        ids = {task.assigned_task.task_id for task in new}
        for job in {task.assigned_task.task.job: None for task in new}:
            if job in self._ledger.rows[Table.CRON_JOBS]:
                others = [t for t in self._ledger.job(job) if t.status in legal.ACTIVE]
                left = [t.assigned_task.task_id for t in others if t.assigned_task.task_id not in ids]
                if left:
                    self._trace.violated("one run of a cron job", f"{job.name} begins beside {left}")

    def _one_task_an_instance(self, job: JobKey) -> None:
        active = [t.assigned_task.instance_id for t in self._ledger.job(job) if t.status in legal.ACTIVE]
        for instance, count in Counter(active).items():
            if count > 1:
                self._trace.violated("one task an instance", f"{job.name} {instance} has {count} active tasks")

    def _placed(self, tasks: Sequence[ScheduledTask]) -> None:
        for task in tasks:
            config = task.assigned_task.task
            siblings = [other.assigned_task.task for other in tasks if other.assigned_task.task.job == config.job]
            self._assigned(task, alone=all(other == config for other in siblings))

    def _assigned(self, task: ScheduledTask, alone: bool) -> None:
        """Where it was placed it may be: mode, constraints and limits of the host, counted as the log has them."""
        host = self._ledger.rows[Table.HOSTS].get(task.assigned_task.slave_host)
        if host is None:
            self._trace.violated("constraints", f"{task.assigned_task.task_id} is on a host that nobody knows")
            return
        if host.mode in (MaintenanceMode.DRAINING, MaintenanceMode.DRAINED):
            self._trace.violated("nothing new where hosts drain", f"{task.assigned_task.task_id} on {host.host}")
        constraints = task.assigned_task.task.constraints
        values = {(attribute.name, value) for attribute in host.attributes for value in attribute.values}
        if any(name == "dedicated" for name, _ in values) and all(c.name != "dedicated" for c in constraints):
            self._trace.violated("constraints", f"{task.assigned_task.task_id} on dedicated {host.host}")
        for constraint in constraints:
            self._constraint(task, constraint, values, alone)

    def _constraint(
        self, task: ScheduledTask, constraint: Constraint, values: set[tuple[str, str]], alone: bool
    ) -> None:
        """A limit says how many others there may be at that moment. Tasks without one, or with a larger one, may have
        come in the same write, afterwards: then only those count that had to heed it."""
        wanted = constraint.constraint
        here = {value for name, value in values if name == constraint.name}
        task_id = task.assigned_task.task_id
        if wanted is not None and wanted.value is not None:
            if bool(here & wanted.value.values) == wanted.value.negated:
                self._trace.violated("constraints", f"{task_id}: {constraint.name} is {sorted(here)}")
        elif wanted is not None and wanted.limit is not None:
            if not here:
                self._trace.violated("constraints", f"{task_id} has a limit on {constraint.name}, its host has none")
            for value in sorted(here):
                most = wanted.limit.limit
                count = self._count(task.assigned_task.task.job, constraint.name, value, None if alone else most)
                if count > most:
                    self._trace.violated("limits", f"{task_id}: {count} on {constraint.name} {value}")

    def _count(self, job: JobKey, name: str, value: str, limit: int | None) -> int:
        """Tasks of a job on hosts with that value; given a limit, of those that must heed one as low."""
        hosts = self._ledger.rows[Table.HOSTS]
        tasks = [
            task
            for task in self._ledger.job(job)
            if task.status in legal.ON_AGENT and (limit is None or _limit(task, name) <= limit)
        ]
        places = [hosts.get(task.assigned_task.slave_host) for task in tasks]
        return sum(
            any(a.name == name and value in a.values for a in host.attributes) for host in places if host is not None
        )

    # Updates.

    def _update(self, before: JobUpdateDetails | None, after: JobUpdateDetails) -> None:
        key = after.update.summary.key
        old = before.update_events[-1].status if before is not None and before.update_events else None
        if not after.update_events:
            return  # its first event comes in the same transaction
        path = [event.status for event in after.update_events]
        for one, other in itertools.pairwise(path):
            if not legal.may_follow(one, other):
                self._trace.violated("legal transitions", f"update {key.id}: {one.name} to {other.name}")
        rolling = [
            other.update.summary.key.id
            for other in self._ledger.updates.values()
            if other.update.summary.key.job == key.job
            and other.update_events
            and other.update_events[-1].status not in legal.ENDED_UPDATES
        ]
        if len(rolling) > 1:
            self._trace.violated("one update a job", f"{key.job.name}: {rolling}")
        self._group(after)
        self._failures(old, after)

    def _group(self, details: JobUpdateDetails) -> None:
        """No more instances at a time than the strategy has in a group."""
        forward = _is_forward(details)
        begun = JobUpdateAction.INSTANCE_UPDATING if forward else JobUpdateAction.INSTANCE_ROLLING_BACK
        working = {event.instance_id for event in details.instance_events if event.action is begun}
        working -= {event.instance_id for event in details.instance_events if _ENDS.get(event.action) is begun}
        most = _largest_group(details)
        if len(working) > most:
            self._trace.violated(
                "no more than a group at a time", f"{details.update.summary.key.id}: {sorted(working)} of {most}"
            )

    def _failures(self, old: JobUpdateStatus | None, details: JobUpdateDetails) -> None:
        """With too many failed instances an update goes back or fails, at once and for good."""
        settings = details.update.instructions.settings
        forward = _is_forward(details)
        failed = {
            event.instance_id
            for event in details.instance_events
            if event.action is JobUpdateAction.INSTANCE_UPDATE_FAILED
        }
        status = details.update_events[-1].status
        if forward and len(failed) > settings.max_failed_instances and status is JobUpdateStatus.ROLLED_FORWARD:
            self._trace.violated("failures are counted", f"{details.update.summary.key.id}: {sorted(failed)} failed")
        went_on = details.instance_events[-1:] and details.instance_events[-1].action
        if (
            forward
            and len(failed) > settings.max_failed_instances
            and went_on is JobUpdateAction.INSTANCE_UPDATING
            and old is JobUpdateStatus.ROLLING_FORWARD
        ):
            self._trace.violated(
                "failures are counted", f"{details.update.summary.key.id} goes on in spite of {failed}"
            )

    # Quota.

    def _quotas(self, changes: Sequence[Change]) -> None:
        """What is asked for by a create or an update must fit; successors, and what an update adds, were counted."""
        roles: dict[str, None] = {}
        for change in changes:
            if change.before is not None or change.after is None:
                continue
            if change.table is Table.UPDATES:
                desired = change.after.update.instructions.desired_state
                if desired is not None and _counts(desired.task):
                    roles[change.key.job.role] = None
            elif change.table is Table.TASKS and change.after.ancestor_id is None:
                config = change.after.assigned_task.task
                if _counts(config) and not self._is_updated_or_cron(config.job):
                    roles[config.job.role] = None
        for role in roles:
            self._quota(role)

    def _quota(self, role: str) -> None:
        aggregate = self._ledger.rows[Table.QUOTAS].get(role)
        have = requested(aggregate.resources) if aggregate is not None else (0.0, 0, 0, 0)
        used = self._used(role)
        if any(amount > limit + 1e-3 for amount, limit in zip(used, have[:3], strict=True)):
            self._trace.violated("quota", f"{role} has {have[:3]} and uses {used}")

    def _used(self, role: str) -> tuple[float, ...]:
        """By the sheet: tasks that no update touches, the larger side of each update, the larger side of each cron."""
        used: tuple[float, ...] = (0.0, 0.0, 0.0)
        crons = self._ledger.rows[Table.CRON_JOBS]
        updates = [
            details
            for details in self._ledger.updates.values()
            if details.update.summary.key.job.role == role
            and details.update_events
            and details.update_events[-1].status not in legal.ENDED_UPDATES
        ]
        touched = {
            (details.update.summary.key.job, instance) for details in updates for instance in _instances_of(details)
        }
        for task in self._ledger.tasks.values():
            config = task.assigned_task.task
            where = (config.job, task.assigned_task.instance_id)
            is_meant = config.job.role == role and task.status in legal.ACTIVE and _counts(config)
            if is_meant and config.job not in crons and where not in touched:
                used = _sum(used, config, 1)
        for details in updates:
            used = tuple(map(sum, zip(used, _peak(details), strict=True)))
        for job, cron in crons.items():
            if job.role == role:
                planned = _sum((0.0, 0.0, 0.0), cron.task_config, cron.instance_count * _counts(cron.task_config))
                now: tuple[float, ...] = (0.0, 0.0, 0.0)
                for task in self._ledger.job(job):
                    if task.status in legal.ACTIVE and _counts(task.assigned_task.task):
                        now = _sum(now, task.assigned_task.task, 1)
                used = tuple(a + max(b, c) for a, b, c in zip(used, planned, now, strict=True))
        return used

    def _is_updated_or_cron(self, job: JobKey) -> bool:
        return job in self._ledger.rows[Table.CRON_JOBS] or any(
            details.update.summary.key.job == job
            and details.update_events
            and details.update_events[-1].status not in legal.ENDED_UPDATES
            for details in self._ledger.updates.values()
        )


def _merged(changes: Iterable[Change]) -> list[Change]:
    """What a transaction did to each row, in one."""
    merged: dict[Hashable, Change] = {}
    for change in changes:
        first = merged.get(change.key, change)
        merged[change.key] = change._replace(before=first.before)
    return list(merged.values())


def _is_new(change: Change) -> bool:
    """Whether a task came into being that is no successor."""
    return change.before is None and change.after is not None and change.after.ancestor_id is None


def _is_placed(change: Change) -> bool:
    return (
        change.after is not None
        and change.after.status is legal.S.ASSIGNED
        and (change.before is None or change.before.status is legal.S.PENDING)
    )


def _limit(task: ScheduledTask, name: str) -> float:
    limits = [c.constraint.limit for c in task.assigned_task.task.constraints if c.name == name and c.constraint]
    return min((limit.limit for limit in limits if limit is not None), default=math.inf)


def _counts(config: TaskConfig) -> bool:
    return config.production and all(constraint.name != "dedicated" for constraint in config.constraints)


def _sum(used: tuple[float, ...], config: TaskConfig, count: int) -> tuple[float, ...]:
    return tuple(a + b * count for a, b in zip(used, requested(config.resources)[:3], strict=True))


def _peak(details: JobUpdateDetails) -> tuple[float, ...]:
    initial: tuple[float, ...] = (0.0, 0.0, 0.0)
    desired = initial
    for group in details.update.instructions.initial_state:
        initial = _sum(initial, group.task, _size(group.instances) * _counts(group.task))
    wanted = details.update.instructions.desired_state
    if wanted is not None:
        desired = _sum(desired, wanted.task, _size(wanted.instances) * _counts(wanted.task))
    return tuple(map(max, zip(initial, desired, strict=True)))


def _size(ranges: frozenset[Range]) -> int:
    return sum(one.last - one.first + 1 for one in ranges)


def _instances_of(details: JobUpdateDetails) -> set[int]:
    instructions = details.update.instructions
    groups = [*instructions.initial_state, *filter(None, [instructions.desired_state])]
    return {i for group in groups for one in group.instances for i in range(one.first, one.last + 1)}


def _is_forward(details: JobUpdateDetails) -> bool:
    return all(event.status is not JobUpdateStatus.ROLLING_BACK for event in details.update_events)


def _largest_group(details: JobUpdateDetails) -> int:
    strategy = details.update.instructions.settings.update_strategy
    assert strategy is not None
    if strategy.queue_strategy is not None:
        return strategy.queue_strategy.group_size
    if strategy.batch_strategy is not None:
        return strategy.batch_strategy.group_size
    assert strategy.var_batch_strategy is not None
    return max(strategy.var_batch_strategy.group_sizes)
