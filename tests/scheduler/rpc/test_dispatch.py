from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from aurorad.api.calls import (
    CreateJob,
    GetJobs,
    GetRoleSummary,
    GetTasksStatus,
    GetTierConfigs,
    KillTasks,
    PerformBackup,
)
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response, ServerInfo
from aurorad.api.tasks import JobKey, TaskQuery
from aurorad.flags import Flags
from aurorad.log.errors import LogLost
from aurorad.scheduler.rpc.answers import ok
from aurorad.scheduler.rpc.dispatch import Api
from aurorad.storage.storage import LogFull
from tests.scheduler.rpc.conftest import Scheduler, a_job, message

EVERYTHING = GetTasksStatus(TaskQuery())


async def test_every_answer_says_which_cluster_it_is_from() -> None:
    scheduler = Scheduler(Flags(viz_job_url_prefix="http://viz/"))  # whose storage does not even run
    for call in (GetTierConfigs(), PerformBackup()):
        assert (await scheduler.call(call)).server_info == ServerInfo("example", "http://viz/")


async def test_a_call_nobody_handles_is_an_error_that_names_it(scheduler: Scheduler) -> None:
    response = await scheduler.call(PerformBackup())
    assert response.response_code is ResponseCode.ERROR
    assert message(response) == "performBackup is not supported yet."


async def test_before_the_storage_serves_callers_are_told_to_come_back() -> None:
    scheduler = Scheduler()
    for call in (EVERYTHING, CreateJob(a_job())):
        response = await scheduler.call(call)
        assert response.response_code is ResponseCode.ERROR_TRANSIENT
        assert message(response) == "Storage is not READY"


async def test_a_failure_becomes_an_answer_and_a_traceback_in_the_log(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(call: GetJobs, user: str) -> Response:
        raise RuntimeError("the roof is leaking")

    api = Api({GetJobs: broken}, scheduler.storage, scheduler.flags, scheduler.stats)
    with caplog.at_level(logging.ERROR):
        response = await api.handle(GetJobs(), "alice")
    assert (response.response_code, message(response)) == (ResponseCode.ERROR, "the roof is leaking")
    assert "getJobs of alice failed" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_full_disk_refuses_a_write_and_says_that_nothing_was_changed(scheduler: Scheduler) -> None:
    scheduler.log.full = True
    response = await scheduler.call(CreateJob(a_job()))
    assert response.response_code is ResponseCode.ERROR_TRANSIENT
    assert message(response) == "The scheduler's disk is full: nothing was changed."
    scheduler.log.full = False
    result = await scheduler.result(EVERYTHING)
    assert result.schedule_status_result is not None
    assert result.schedule_status_result.tasks == ()
    await scheduler.create()


async def test_a_write_that_the_log_lost_is_said_to_be_of_unknown_outcome() -> None:
    scheduler = Scheduler()
    answers: list[Response] = []

    async def create() -> None:
        answers.append(await scheduler.call(CreateJob(a_job())))

    with pytest.RaisesGroup(pytest.RaisesExc(LogLost, match="promise lost")):
        async with trio.open_nursery() as nursery:
            await nursery.start(scheduler.storage.run)
            scheduler.log.failure = LogLost("Exclusive write promise lost")
            with trio.CancelScope(shield=True):
                await create()
    (answer,) = answers
    assert answer.response_code is ResponseCode.ERROR_TRANSIENT
    expected = "The scheduler lost its log meanwhile: whether this was done is unknown, look before trying again."
    assert message(answer) == expected


async def test_a_read_does_not_answer_before_the_log_has_what_it_shows(scheduler: Scheduler) -> None:
    scheduler.log.gate = trio.Event()
    answers: list[int] = []

    async def read() -> None:
        result = await scheduler.result(EVERYTHING)
        assert result.schedule_status_result is not None
        answers.append(len(result.schedule_status_result.tasks))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.create)
        await scheduler.log.reached.wait()
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert answers == []
        scheduler.log.gate.set()
    assert answers == [1]


async def test_a_read_that_saw_what_was_undone_is_done_again(scheduler: Scheduler) -> None:
    scheduler.log.gate = trio.Event()
    answers: list[Response] = []

    async def collect(call: CreateJob | GetTasksStatus) -> None:
        answers.append(await scheduler.call(call))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect, CreateJob(a_job()))
        await scheduler.log.reached.wait()
        nursery.start_soon(collect, EVERYTHING)
        await trio.testing.wait_all_tasks_blocked()
        scheduler.log.full = True
        scheduler.log.gate.set()
    assert {answer.response_code for answer in answers} == {ResponseCode.ERROR_TRANSIENT, ResponseCode.OK}
    assert [a.result.schedule_status_result.tasks for a in answers if a.result and a.result.schedule_status_result] == [
        ()
    ]


async def test_a_refusal_that_rests_on_what_was_undone_is_decided_again(scheduler: Scheduler) -> None:
    """The second create sees the first, which the log then refuses; so it is not told that the job exists."""
    scheduler.log.gate = trio.Event()
    answers: list[Response] = []

    async def create() -> None:
        answers.append(await scheduler.call(CreateJob(a_job())))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(create)
        await scheduler.log.reached.wait()
        nursery.start_soon(create)
        await trio.testing.wait_all_tasks_blocked()
        scheduler.log.full = True
        scheduler.log.gate.set()
    assert {answer.response_code for answer in answers} == {ResponseCode.ERROR_TRANSIENT}


async def test_no_tasks_to_kill_is_not_said_while_a_kill_may_still_be_undone(scheduler: Scheduler) -> None:
    job = await scheduler.create()
    scheduler.log.gate = trio.Event()
    answers: list[ResponseCode] = []

    async def kill() -> None:
        answers.append((await scheduler.call(KillTasks(job))).response_code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(kill)
        await scheduler.log.reached.wait()
        nursery.start_soon(kill)
        await trio.testing.wait_all_tasks_blocked()
        scheduler.log.full = True
        scheduler.log.gate.set()
    assert answers == [ResponseCode.ERROR_TRANSIENT] * 2
    assert len(scheduler.tasks(job)) == 1


async def test_a_read_gives_up_when_what_it_sees_is_undone_again_and_again(scheduler: Scheduler) -> None:
    async def unlucky(call: GetJobs, user: str) -> Response:
        with pytest.raises(LogFull):
            await scheduler.storage.write(lambda tx: tx.save_framework_id("seen, then undone"))
        return ok()

    scheduler.log.full = True

    api = Api({GetJobs: unlucky}, scheduler.storage, scheduler.flags, scheduler.stats)
    assert (await api.handle(GetJobs(), "alice")).response_code is ResponseCode.ERROR_TRANSIENT


async def test_calls_are_counted_by_method_by_code_and_by_what_they_return(scheduler: Scheduler) -> None:
    await scheduler.create(3)
    await scheduler.create(2, key=JobKey("www", "prod", "other"))
    await scheduler.call(CreateJob(a_job()))
    await scheduler.call(EVERYTHING)
    await scheduler.call(GetJobs())
    await scheduler.call(GetRoleSummary())
    await scheduler.call(PerformBackup())
    values = scheduler.stats.snapshot()
    assert values["scheduler_thrift_response_OK"] == 5
    assert values["scheduler_thrift_response_INVALID_REQUEST"] == 1
    assert values["scheduler_thrift_response_ERROR"] == 1
    assert values["scheduler_thrift_createJob_events"] == 3
    assert "scheduler_thrift_createJob_nanos_total" in values
    assert values["thrift_workload_createJob"] == 5
    assert values["scheduler_thrift_workload_getTasksStatus"] == 5
    assert values["scheduler_thrift_workload_getJobs"] == 2
    assert values["scheduler_thrift_workload_getRoleSummary"] == 1
    assert "scheduler_thrift_workload_createJob" not in values
