"""Calls of operators: the thrift-api sheet, section 4."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from aurorad.api.calls import (
    ForceTaskState,
    GetQuota,
    PruneTasks,
    SetQuota,
    Snapshot,
    TriggerExplicitTaskReconciliation,
    TriggerImplicitTaskReconciliation,
)
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.tasks import ExplicitReconciliationSettings, JobKey, Resource, ResourceAggregate, TaskQuery
from aurorad.rules import quota
from aurorad.rules.quota import Amounts
from tests.scheduler.rpc.conftest import Scheduler, message
from tests.scheduler.rpc.test_jobs import refusal, statuses

S = ScheduleStatus
JOB = JobKey("www", "prod", "hello")


def amounts(cpus: float, ram_mb: int, disk_mb: int) -> ResourceAggregate:
    return quota.aggregate(Amounts(cpus, ram_mb, disk_mb))


class TestSetQuota:
    async def test_what_is_set_is_what_get_answers(self, scheduler: Scheduler) -> None:
        for granted in (amounts(4.0, 4096, 8192), amounts(0.0, 0, 0)):
            response = await scheduler.call(SetQuota("www", granted))
            assert (response.response_code, response.details) == (ResponseCode.OK, ())
            result = (await scheduler.result(GetQuota("www"))).get_quota_result
            assert result is not None
            assert result.quota == granted

    async def test_any_text_is_a_role(self, scheduler: Scheduler) -> None:
        assert (await scheduler.call(SetQuota("odd role", amounts(1.0, 1, 1)))).response_code is ResponseCode.OK

    @pytest.mark.parametrize(
        ("call", "code", "text"),
        [
            (SetQuota(" ", amounts(1.0, 1, 1)), "ERROR", "Argument cannot be blank"),
            (SetQuota(None, amounts(1.0, 1, 1)), "ERROR", "Argument cannot be blank"),
            (SetQuota(None, None), "ERROR", "Argument cannot be blank"),
            (SetQuota("www", None), "ERROR", "A quota was expected."),
            (SetQuota("www", ResourceAggregate()), "ERROR", "Quota resources must be exactly: [CPUS, RAM_MB, DISK_MB]"),
        ],
    )
    async def test_what_is_no_quota_is_refused(
        self, scheduler: Scheduler, call: SetQuota, code: str, text: str | None
    ) -> None:
        assert refusal(await scheduler.call(call)) == (code, text)
        assert not scheduler.storage.tables.quotas

    async def test_less_than_is_used_is_refused(self, scheduler: Scheduler) -> None:
        await scheduler.set_quota("www", 1.0, 128, 128)
        await scheduler.create(2, tier="preferred")
        answer = await scheduler.call(SetQuota("www", amounts(0.9, 128, 128)))
        assert answer.response_code is ResponseCode.INVALID_REQUEST
        assert (message(answer) or "").endswith(
            " is less then current prod reservation: "
            "ResourceBag{resourceVectors={CPUS=1.0, RAM_MB=128.0, DISK_MB=128.0}}"
        )
        assert Resource(num_cpus=1.0) in scheduler.storage.tables.quotas["www"].resources


class TestForceTaskState:
    async def test_the_task_goes_there_if_it_may(self, scheduler: Scheduler) -> None:
        await scheduler.create(is_service=False)
        await scheduler.run_all(JOB)
        task_id = scheduler.tasks(JOB)[0].assigned_task.task_id
        await scheduler.call(ForceTaskState(task_id, S.FINISHED), user="alice")
        assert statuses(scheduler) == ["FINISHED"]
        assert scheduler.tasks(JOB)[0].task_events[-1].message == "Transition forced by alice"

    @pytest.mark.parametrize("status", [S.RUNNING, S.ASSIGNED, S.STARTING, S.INIT])
    async def test_it_is_fine_if_it_may_not(self, scheduler: Scheduler, status: ScheduleStatus) -> None:
        await scheduler.create()
        task_id = scheduler.tasks(JOB)[0].assigned_task.task_id
        for wanted in (task_id, "nosuch"):
            response = await scheduler.call(ForceTaskState(wanted, status))
            assert (response.response_code, response.details) == (ResponseCode.OK, ())
        assert statuses(scheduler) == ["PENDING"]

    async def test_what_is_not_given_is_an_error(self, scheduler: Scheduler) -> None:
        assert refusal(await scheduler.call(ForceTaskState("", S.FAILED))) == ("ERROR", "Argument cannot be blank")
        assert refusal(await scheduler.call(ForceTaskState())) == ("ERROR", "Argument cannot be blank")
        assert refusal(await scheduler.call(ForceTaskState("some"))) == ("ERROR", "A status was expected.")


class TestPruneTasks:
    async def ended(self, scheduler: Scheduler, count: int) -> None:
        await scheduler.create(count, is_service=False)
        await scheduler.run_all(JOB)
        await scheduler.move(JOB, S.FINISHED)

    async def test_all_that_ended_is_forgotten(self, scheduler: Scheduler) -> None:
        await self.ended(scheduler, 3)
        other = await scheduler.create(key=JobKey("www", "prod", "other"))
        response = await scheduler.call(PruneTasks(TaskQuery()))
        assert (response.response_code, response.details, response.result) == (ResponseCode.OK, (), None)
        assert scheduler.tasks(JOB) == []
        assert len(scheduler.tasks(other)) == 1
        assert scheduler.stats.get("thrift_workload_pruneTasks") == 3

    async def test_a_limit_counts_and_an_offset_does_not(self, scheduler: Scheduler) -> None:
        await self.ended(scheduler, 3)
        await scheduler.call(PruneTasks(TaskQuery(limit=2, offset=2)))
        assert len(scheduler.tasks(JOB)) == 1

    async def test_only_what_is_asked_for_is_forgotten(self, scheduler: Scheduler) -> None:
        await self.ended(scheduler, 2)
        await scheduler.call(PruneTasks(TaskQuery(statuses=frozenset({S.LOST, S.FAILED}))))
        await scheduler.call(PruneTasks(TaskQuery(role="nobody")))
        assert len(scheduler.tasks(JOB)) == 2
        await scheduler.call(PruneTasks(TaskQuery(statuses=frozenset({S.FINISHED}), instance_ids=frozenset({1}))))
        assert [task.assigned_task.instance_id for task in scheduler.tasks(JOB)] == [0]

    async def test_what_has_not_ended_cannot_be_forgotten(self, scheduler: Scheduler) -> None:
        query = TaskQuery(statuses=frozenset({S.FINISHED, S.KILLING}))
        answer = refusal(await scheduler.call(PruneTasks(query)))
        assert answer == ("ERROR", "Tasks in non-terminal state cannot be pruned.")
        assert refusal(await scheduler.call(PruneTasks())) == ("ERROR", "A task query was expected.")

    async def test_many_are_forgotten_in_several_writes(self, scheduler: Scheduler) -> None:
        await self.ended(scheduler, 2500)
        before = len(scheduler.log.entries)
        await scheduler.call(PruneTasks(TaskQuery()))
        assert scheduler.tasks(JOB) == []
        assert len(scheduler.log.entries) - before >= 3
        assert scheduler.stats.get("thrift_workload_pruneTasks") == 2500


async def test_a_snapshot_is_taken_before_the_answer(scheduler: Scheduler) -> None:
    assert (await scheduler.call(Snapshot())).response_code is ResponseCode.OK
    assert scheduler.snapshots == 1


class TestReconciliation:
    @pytest.mark.parametrize("batch_size", [10, None])
    async def test_tasks_are_asked_about_after_the_answer(self, scheduler: Scheduler, batch_size: int | None) -> None:
        await scheduler.create()
        await scheduler.run_all(JOB)
        task_id = scheduler.tasks(JOB)[0].assigned_task.task_id
        settings = ExplicitReconciliationSettings(batch_size)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scheduler.reconciliation.run, ())
            assert (await scheduler.call(TriggerExplicitTaskReconciliation(settings))).response_code is ResponseCode.OK
            assert (await scheduler.call(TriggerImplicitTaskReconciliation())).response_code is ResponseCode.OK
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert scheduler.engine.reconciled == [(task_id,), ()]

    @pytest.mark.parametrize("batch_size", [0, -1])
    async def test_a_batch_holds_something(self, scheduler: Scheduler, batch_size: int) -> None:
        call = TriggerExplicitTaskReconciliation(ExplicitReconciliationSettings(batch_size))
        answer = refusal(await scheduler.call(call))
        assert answer == ("INVALID_REQUEST", "Batch size must be greater than zero.")

    async def test_settings_are_needed(self, scheduler: Scheduler) -> None:
        assert refusal(await scheduler.call(TriggerExplicitTaskReconciliation())) == (
            "ERROR",
            "A value for settings was expected.",
        )
