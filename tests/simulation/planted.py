"""Bugs, planted into the product one at a time to see whether the simulation notices. `test_planted.py` runs them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import trio

from aurorad.api.enums import TERMINAL_STATES, JobUpdateAction, ScheduleStatus
from aurorad.engine.base import StatusUpdate, TaskState
from aurorad.log.segments import Segments
from aurorad.rules import quota, sla_policy, task_states
from aurorad.rules.updates import evaluation
from aurorad.rules.updates.strategies import Strategy
from aurorad.scheduler import placement
from aurorad.scheduler.kills import Kills
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.placement import Placement
from aurorad.scheduler.rpc import jobs
from aurorad.scheduler.statuses import Statuses
from aurorad.scheduler.updater import Updater
from aurorad.storage import entries
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Table
from aurorad.storage.transaction import Transaction


class Plant(NamedTuple):
    """`first` is a seed at or soon after which `rule` is broken."""

    plant: Callable[[pytest.MonkeyPatch], None]
    rule: str
    first: int


class _Hasty:
    """A storage whose writes are over before the log has them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def write(self, work: Callable[[Transaction], Any]) -> Any:
        results: list[Any] = []
        with trio.move_on_after(0):
            return await self._storage.write(lambda tx: results.append(work(tx)))
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


def _wrap(patch: pytest.MonkeyPatch, cls: type, argument: str, wrapper: Callable[[Any], Any]) -> None:
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
    patch.setattr(jobs, "handlers", lambda *, storage, **others: handlers(storage=_Hasty(storage), **others))


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
        segment.file = NoSync(segment.file)  # type: ignore[assignment]
        try:
            return append(self, some)
        finally:
            segment.file = segment.file._file  # type: ignore[attr-defined]

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


def failures_of_updates_forgotten_on_restart(patch: pytest.MonkeyPatch) -> None:
    """As the original does: a new scheduler counts from none."""
    since_ms = [0]
    init, of = Updater.__init__, evaluation._Progress.of

    def started(self: Updater, *given: Any, **named: Any) -> None:
        init(self, *given, **named)
        since_ms[0] = self._now_ms()

    def forgetful(words: Any, events: Any) -> Any:
        progress = of(words, events)
        new = {
            event.instance_id for event in events if event.timestamp_ms >= since_ms[0] and event.action is words.failed
        }
        for instance in [instance for instance in progress.failed if instance not in new]:
            del progress.failed[instance]
            progress.done.add(instance)
        return progress

    patch.setattr(Updater, "__init__", started)
    patch.setattr(evaluation._Progress, "of", staticmethod(forgetful))


def quota_without_updates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(quota, "_update_peak", lambda update, pool: quota.Amounts())


def census_not_kept_within_a_round(patch: pytest.MonkeyPatch) -> None:
    claim = placement._Write.claim

    def forgetful(self: Any, *given: Any) -> None:
        censuses = copy.deepcopy(self._censuses)
        claim(self, *given)
        self._censuses = censuses

    patch.setattr(placement._Write, "claim", forgetful)


def offers_spent_twice_in_a_round(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(placement._Write, "left_of", lambda self, held: held.offer.resources)
    patch.setattr(
        placement._Write, "available", lambda self, held, revocable: held.revocable_bag if revocable else held.bag
    )


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
    without = cell._replace(actions=tuple(a for a in cell.actions if a is not task_states.Action.RESCHEDULE))
    patch.setattr(task_states, "_TRANSITIONS", task_states._TRANSITIONS.set(where, without))


def updates_deaf_to_their_tasks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("aurorad.scheduler.updater.may_matter", lambda task: False)


def failed_instances_taken_for_updated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(evaluation, "_FORWARD", evaluation._FORWARD._replace(failed=JobUpdateAction.INSTANCE_UPDATED))


def drains_keep_one_too_few(patch: pytest.MonkeyPatch) -> None:
    required = sla_policy.required
    patch.setattr(sla_policy, "required", lambda policy, active: required(policy, active) - 1)


PLANTS = (
    Plant(launch_before_log, "log before launch", 2),
    Plant(acknowledge_before_log, "log before acknowledge", 1),
    Plant(answer_before_log, "log before answer", 9),
    Plant(reads_show_what_may_be_undone, "log before answer", 65),
    Plant(log_without_sync, "what was told survives a crash", 23),
    Plant(snapshots_without_updates, "what was told survives a crash", 98),
    Plant(refused_writes_stay_in_memory, "one truth", 32),
    Plant(failures_never_acknowledged, "every update is acknowledged", 1),
    Plant(one_too_many_in_a_group, "no more than a group at a time", 0),
    Plant(failures_of_updates_forgotten_on_restart, "failures are counted", 21),
    Plant(quota_without_updates, "quota", 9),
    Plant(census_not_kept_within_a_round, "limits", 10),
    Plant(offers_spent_twice_in_a_round, "no host oversubscribed", 2),
    Plant(offers_used_again, "an offer once", 3),
    Plant(offers_outlive_their_connection, "an offer once", 6),
    Plant(kills_not_repeated, "kills are repeated", 7),
    Plant(tasks_that_should_not_be_are_left_alone, "nothing runs that should not", 95),
    Plant(lost_services_not_rescheduled, "an instance lives on", 56),
    Plant(drains_keep_one_too_few, "promises", 0),
    Plant(updates_deaf_to_their_tasks, "every update ends", 7),
)
