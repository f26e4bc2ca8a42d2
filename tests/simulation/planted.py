"""Bugs, planted into the product one at a time to see whether the simulation notices. `test_planted.py` runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import trio

from aurorad.api.enums import ACTIVE_STATES, TERMINAL_STATES, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import JobKey
from aurorad.engine.base import StatusUpdate, TaskState
from aurorad.log.segments import Segments
from aurorad.rules import matching, preemption, quota, sla_policy, task_states
from aurorad.rules.updates import evaluation
from aurorad.rules.updates.strategies import Strategy
from aurorad.scheduler import placement
from aurorad.scheduler.census import LiveCensus
from aurorad.scheduler.claims import Claim
from aurorad.scheduler.cron import CronScheduler
from aurorad.scheduler.kills import Kills
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.placement import Placement
from aurorad.scheduler.rpc import jobs
from aurorad.scheduler.statuses import Statuses
from aurorad.storage import entries
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Table
from aurorad.storage.transaction import Transaction
from tests.simulation import clients, faults
from tests.simulation.simulation import Stress


class Plant(NamedTuple):
    """`rule` is broken by it, soon if there is a lot of what `stress` says."""

    plant: Callable[[pytest.MonkeyPatch], None]
    rule: str
    stress: Stress = Stress()


class _Hasty:
    """A storage whose writes are over before the log has them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def write(self, work: Callable[[Transaction], Any]) -> Any:
        results: list[Any] = []
        with trio.move_on_after(0):
            await self._storage.write(lambda tx: results.append(work(tx)))
        return results[0]


class _Forgetful:
    """An engine that is not told that failures were heard of."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def acknowledge(self, update: StatusUpdate) -> None:
        if update.state is not TaskState.TASK_FAILED:
            await self._engine.acknowledge(update)


def _wrap(patch: pytest.MonkeyPatch, cls: type[Any], argument: str, wrapper: Callable[[Any], Any]) -> None:
    """Have instances of `cls` made with one argument wrapped."""
    init = cls.__init__

    def wrapped(self: Any, **arguments: Any) -> None:
        init(self, **{**arguments, argument: wrapper(arguments[argument])})

    patch.setattr(cls, "__init__", wrapped)


def launch_before_log(patch: pytest.MonkeyPatch) -> None:
    _wrap(patch, Placement, "storage", _Hasty)


def acknowledge_before_log(patch: pytest.MonkeyPatch) -> None:
    _wrap(patch, Statuses, "storage", _Hasty)


def answer_before_log(patch: pytest.MonkeyPatch) -> None:
    handlers = jobs.handlers
    hasty: Callable[[Storage], Any] = _Hasty
    patch.setattr(jobs, "handlers", lambda *, storage, **others: handlers(storage=hasty(storage), **others))


def reads_show_what_may_be_undone(patch: pytest.MonkeyPatch) -> None:
    async def settled(self: Storage) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(Storage, "settled", settled)


def failures_never_acknowledged(patch: pytest.MonkeyPatch) -> None:
    _wrap(patch, Statuses, "engine", _Forgetful)


def log_without_sync(patch: pytest.MonkeyPatch) -> None:
    append = Segments.append

    def hasty(self: Segments, some: Any) -> int:
        class NoSync:
            def __init__(self, file: Any) -> None:
                self._file = file

            def __getattr__(self, name: str) -> Any:
                return getattr(self._file, name)

            def sync(self) -> None:
                pass

        segment = self._writable()
        segment.file = NoSync(segment.file)
        try:
            return append(self, some)
        finally:
            segment.file = segment.file._file

    patch.setattr(Segments, "append", hasty)


def snapshots_without_updates(patch: pytest.MonkeyPatch) -> None:
    part = entries.part
    patch.setattr(
        entries, "part", lambda table, rows: part(table, rows) if table is not Table.UPDATES else entries.SnapshotPart()
    )


def refused_writes_stay_in_memory(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Transaction, "revert", lambda self: None)


def one_too_many_in_a_group(patch: pytest.MonkeyPatch) -> None:
    group_size = Strategy.group_size
    patch.setattr(Strategy, "group_size", lambda self, **given: min(given["idle"], group_size(self, **given) + 1))


def failures_of_updates_forgotten(patch: pytest.MonkeyPatch) -> None:
    """As the original does: a new scheduler, or one that goes on after a pause, counts from none."""
    of = evaluation.Progress.of

    def forgetful(words: Any, events: Any) -> Any:
        progress = of(words, events)
        progress.done.update(progress.failed)
        progress.failed.clear()
        return progress

    patch.setattr(evaluation.Progress, "of", staticmethod(forgetful))


def quota_without_updates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(quota, "_update_peak", lambda update, pool: quota.Amounts())


def census_not_kept_up_to_date(patch: pytest.MonkeyPatch) -> None:
    """Of where the tasks of a job are, only what was so at the beginning is known."""
    init, came = LiveCensus.__init__, LiveCensus.came

    def counted_once(self: LiveCensus, *given: Any) -> None:
        init(self, *given)
        self.came = lambda *_: None  # type: ignore[method-assign]

    patch.setattr(LiveCensus, "__init__", counted_once)
    patch.setattr(LiveCensus, "came", came)


def offers_spent_twice_in_a_round(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Claim, "amounts", lambda self, revocable: self.held.kind.amounts)


def offers_used_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Offers, "take", Offers.holds)


def offers_outlive_their_connection(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Offers, "clear", lambda self: None)


def kills_not_repeated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Kills, "_remind_later", lambda self, task_id: None)


def tasks_that_should_not_be_are_left_alone(patch: pytest.MonkeyPatch) -> None:
    decide = task_states.decide

    def lenient(task: Any, *given: Any) -> task_states.Decision:
        decision = decide(task, *given)
        return decision._replace(actions=()) if task is None or task.status in TERMINAL_STATES else decision

    patch.setattr(task_states, "decide", lenient)


def lost_services_not_rescheduled(patch: pytest.MonkeyPatch) -> None:
    where = (ScheduleStatus.RUNNING, ScheduleStatus.LOST)
    cell = task_states._TRANSITIONS[where]
    kept = tuple(action for action in cell.decision.actions if action is not task_states.Action.RESCHEDULE)
    without = cell._replace(decision=cell.decision._replace(actions=kept))
    patch.setattr(task_states, "_TRANSITIONS", task_states._TRANSITIONS.set(where, without))


def updates_deaf_to_their_tasks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("aurorad.scheduler.updater.may_matter", lambda task: False)


def cron_runs_beside_each_other(patch: pytest.MonkeyPatch) -> None:
    def begin(self: CronScheduler, tx: Transaction, job: JobKey) -> None:
        template = tx.tables.cron_jobs.get(job)
        if template is not None:
            first = max([-1, *[task.assigned_task.instance_id for task in tx.tables.job_tasks(job, ACTIVE_STATES)]]) + 1
            self._states.insert_pending(tx, template.task_config, range(first, first + template.instance_count))

    patch.setattr(CronScheduler, "_begin_if_free", begin)
    patch.setattr(CronScheduler, "_make_room", lambda *_: True)


def drained_hosts_still_used(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placement, "_IN_SERVICE", frozenset(MaintenanceMode))
    patch.setattr(matching, "_IN_MAINTENANCE", {})


def drained_hosts_never_told_so(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("aurorad.scheduler.maintenance._finish", lambda host, tx: None)


def drains_keep_one_too_few(patch: pytest.MonkeyPatch) -> None:
    required = sla_policy.required
    patch.setattr(sla_policy, "required", lambda policy, active: required(policy, active) - 1)


def anybody_is_preempted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preemption, "may_preempt", lambda *_: True)


PLANTS = (
    Plant(launch_before_log, "log before launch", Stress((), (clients.create,))),
    Plant(acknowledge_before_log, "log before acknowledge", Stress((), (clients.create,))),
    Plant(answer_before_log, "log before answer", Stress((), (clients.create, clients.kill))),
    Plant(
        reads_show_what_may_be_undone,
        "log before answer",
        Stress((faults.slow_disk,), (clients.look, clients.look, clients.create, clients.restart)),
    ),
    Plant(log_without_sync, "what was told survives a crash", Stress((faults.crashes,), (clients.create,))),
    Plant(
        snapshots_without_updates,
        "what was told survives a crash",
        Stress((faults.crashes,), (clients.update, clients.snapshot)),
    ),
    Plant(refused_writes_stay_in_memory, "one truth", Stress((faults.full_disk,), (clients.create, clients.kill))),
    Plant(failures_never_acknowledged, "every update is acknowledged", Stress((), (clients.create,))),
    Plant(one_too_many_in_a_group, "no more than a group at a time", Stress((), (clients.update,))),
    Plant(
        failures_of_updates_forgotten,
        "failures are counted",
        Stress((faults.crashes,), (clients.roll_out_what_fails, clients.pause, clients.resume, clients.resume)),
    ),
    Plant(quota_without_updates, "quota", Stress((), (clients.update, clients.set_quota, clients.create))),
    Plant(census_not_kept_up_to_date, "limits", Stress((), (clients.create,))),
    Plant(offers_spent_twice_in_a_round, "no host oversubscribed", Stress((), (clients.create,))),
    Plant(offers_used_again, "an offer once", Stress((), (clients.create,))),
    Plant(offers_outlive_their_connection, "an offer once", Stress((faults.broken_connections,), (clients.create,))),
    Plant(kills_not_repeated, "kills are repeated", Stress((faults.lost_messages,), (clients.create, clients.kill))),
    Plant(
        tasks_that_should_not_be_are_left_alone,
        "nothing runs that should not",
        Stress((faults.cut_hosts, faults.bad_network), (clients.create, clients.kill)),
    ),
    Plant(lost_services_not_rescheduled, "an instance lives on", Stress((faults.cut_hosts,), (clients.create,))),
    Plant(
        cron_runs_beside_each_other, "one run of a cron job", Stress((), (clients.schedule_cron, clients.start_cron))
    ),
    Plant(drained_hosts_still_used, "nothing new where hosts drain", Stress((), (clients.drain, clients.create))),
    Plant(drained_hosts_never_told_so, "every drain ends", Stress((), (clients.drain, clients.create))),
    Plant(drains_keep_one_too_few, "promises", Stress((), (clients.drain, clients.create))),
    Plant(anybody_is_preempted, "who preempts whom", Stress((), (clients.set_quota, clients.create))),
    Plant(updates_deaf_to_their_tasks, "every update ends", Stress((), (clients.update,))),
)
