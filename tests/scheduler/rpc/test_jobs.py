"""Write calls on jobs against the thrift-api sheet, section 3."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from aurorad.api import keys
from aurorad.api.calls import AddInstances, Call, CreateJob, KillTasks, RestartShards
from aurorad.api.enums import JobUpdateStatus, ResponseCode, ScheduleStatus
from aurorad.api.results import Response
from aurorad.api.tasks import InstanceKey, JobConfiguration, JobKey
from aurorad.api.updates import JobUpdate, JobUpdateEvent, JobUpdateInstructions, JobUpdateKey, JobUpdateSummary
from aurorad.storage.transaction import Transaction
from tests.scheduler.rpc.conftest import Scheduler, a_job, a_task, message

JOB = JobKey("www", "prod", "hello")
NO_JOB = JobKey("www", "prod", "nosuch")
BAD = JobKey("www", "prod", "a b")


async def begin_update(scheduler: Scheduler, job: JobKey, status: JobUpdateStatus) -> None:
    key = JobUpdateKey(job, "u")

    def work(tx: Transaction) -> None:
        tx.save_job_update(JobUpdate(JobUpdateSummary(key), JobUpdateInstructions()))
        tx.save_job_update_event(key, JobUpdateEvent(status, 1))

    await scheduler.storage.write(work)


def statuses(scheduler: Scheduler, job: JobKey = JOB) -> list[str]:
    return [task.status.name for task in scheduler.tasks(job)]


def refusal(response: Response) -> tuple[str, str | None]:
    assert response.result is None
    return response.response_code.name, message(response)


async def test_create_job_makes_pending_tasks_that_are_in_the_log_when_it_answers(scheduler: Scheduler) -> None:
    response = await scheduler.call(CreateJob(a_job(3)))
    assert (response.response_code, response.result, response.details) == (ResponseCode.OK, None, ())
    assert len(scheduler.log.entries) == 1
    tasks = scheduler.tasks(JOB)
    assert [task.assigned_task.instance_id for task in tasks] == [0, 1, 2]
    assert statuses(scheduler) == ["PENDING"] * 3
    assert {task.assigned_task.task for task in tasks} == {a_task()}


async def test_create_job_fills_in_the_tier(scheduler: Scheduler) -> None:
    await scheduler.create(tier=None, production=True)
    (task,) = scheduler.tasks(JOB)
    assert (task.assigned_task.task.tier, task.assigned_task.task.production) == ("preemptible", False)


async def test_a_job_that_exists_is_not_created_again_until_all_its_tasks_ended(scheduler: Scheduler) -> None:
    await scheduler.create(2)
    again = await scheduler.call(CreateJob(a_job()))
    assert refusal(again) == ("INVALID_REQUEST", "Job www/prod/hello already exists")
    await scheduler.run_all(JOB)
    await scheduler.move(JOB, ScheduleStatus.KILLING, ScheduleStatus.KILLED)
    await scheduler.create()
    assert sorted(statuses(scheduler)) == ["KILLED", "KILLED", "PENDING"]


async def test_of_two_concurrent_creates_of_one_job_one_is_refused(scheduler: Scheduler) -> None:
    scheduler.log.gate = trio.Event()
    codes: list[ResponseCode] = []

    async def create() -> None:
        codes.append((await scheduler.call(CreateJob(a_job()))).response_code)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(create)
        nursery.start_soon(create)
        await trio.testing.wait_all_tasks_blocked()
        scheduler.log.gate.set()
    assert sorted(codes) == [ResponseCode.INVALID_REQUEST, ResponseCode.OK]
    assert len(scheduler.tasks(JOB)) == 1


async def test_a_cron_template_of_that_name_is_a_job_that_exists(scheduler: Scheduler) -> None:
    await scheduler.storage.write(lambda tx: tx.save_cron_job(JobConfiguration(key=JOB, cron_schedule="* * * * *")))
    assert refusal(await scheduler.call(CreateJob(a_job()))) == ("INVALID_REQUEST", "Job www/prod/hello already exists")


async def test_a_description_may_not_name_one_job_and_its_task_another(scheduler: Scheduler) -> None:
    """What is permitted for one would start tasks of the other."""
    other = JobKey("www", "prod", "other")
    response = await scheduler.call(CreateJob(a_job(key=JOB, job=other)))
    assert refusal(response) == (
        "INVALID_REQUEST",
        f"The job is called {keys.canonical(JOB)} by its description, but www/prod/other by its tasks: "
        "one key was expected.",
    )
    assert statuses(scheduler, JOB) == statuses(scheduler, other) == []


@pytest.mark.parametrize(
    ("description", "refused"),
    [
        (None, ("ERROR", "A job was expected.")),
        (JobConfiguration(key=JOB), ("INVALID_REQUEST", "Job configuration must have taskConfig set.")),
        (a_job(4001), ("INVALID_REQUEST", "Instance count must be between 1 and 4000 inclusive.")),
        (a_job(tier="gold"), ("INVALID_REQUEST", "Invalid tier 'gold' in TaskConfig.")),
        (
            a_job(tier="preferred"),
            (
                "INVALID_REQUEST",
                "Insufficient resource quota: CPU quota exceeded by 0.50 core(s); "
                "disk quota exceeded by 64.00 MB; RAM quota exceeded by 64.00 MB",
            ),
        ),
    ],
)
async def test_create_job_refuses_what_the_rules_do_not_let_in(
    scheduler: Scheduler, description: JobConfiguration | None, refused: tuple[str, str]
) -> None:
    assert refusal(await scheduler.call(CreateJob(description))) == refused
    assert scheduler.log.entries == []


@pytest.mark.parametrize("schedule", ["* * * * *", ""])
async def test_cron_jobs_are_not_created_here(scheduler: Scheduler, schedule: str) -> None:
    job = a_job(is_service=False)
    job = JobConfiguration(job.key, job.owner, schedule, None, job.task_config, 1)
    assert refusal(await scheduler.call(CreateJob(job))) == (
        "INVALID_REQUEST",
        "Cron jobs may only be created/updated by calling scheduleCronJob.",
    )


async def test_production_jobs_are_let_in_up_to_the_quota_of_their_role(scheduler: Scheduler) -> None:
    await scheduler.set_quota("www", 1.0, 128, 128)
    await scheduler.create(2, tier="preferred")
    more = await scheduler.call(CreateJob(a_job(key=JobKey("www", "prod", "more"), tier="preferred")))
    assert "CPU quota exceeded by 0.50 core(s)" in (message(more) or "")


@pytest.mark.parametrize(
    "call",
    [
        CreateJob(a_job()),
        KillTasks(JOB),
        RestartShards(JOB, frozenset({0})),
        AddInstances(InstanceKey(JOB, 0), 1),
    ],
)
async def test_a_job_in_the_middle_of_an_update_is_left_alone(scheduler: Scheduler, call: Call) -> None:
    await scheduler.create()
    await begin_update(scheduler, JOB, JobUpdateStatus.ROLL_FORWARD_PAUSED)
    assert refusal(await scheduler.call(call)) == ("JOB_UPDATING_ERROR", "Job is currently updating")
    assert statuses(scheduler) == ["PENDING"]


async def test_an_update_that_ended_does_not_matter(scheduler: Scheduler) -> None:
    await scheduler.create()
    await begin_update(scheduler, JOB, JobUpdateStatus.ROLLED_FORWARD)
    assert (await scheduler.call(KillTasks(JOB))).response_code is ResponseCode.OK


async def test_kill_tasks_deletes_what_waits_and_kills_what_runs(scheduler: Scheduler) -> None:
    await scheduler.create(2)
    response = await scheduler.call(KillTasks(JOB))
    assert (response.response_code, response.details) == (ResponseCode.OK, ())
    assert statuses(scheduler) == []
    await scheduler.create(2)
    await scheduler.run_all(JOB)
    await scheduler.call(KillTasks(JOB, frozenset({1}), "no longer needed"), user="alice")
    assert statuses(scheduler) == ["RUNNING", "KILLING"]
    assert scheduler.tasks(JOB)[1].task_events[-1].message == "Killed by alice.\nno longer needed"
    await scheduler.call(KillTasks(JOB, message=""), user="bob")
    assert [task.task_events[-1].message for task in scheduler.tasks(JOB)] == [
        "Killed by bob.\n",
        "Killed by alice.\nno longer needed",
    ]
    assert scheduler.stats.get("thrift_workload_killTasks") == 4


async def test_kill_tasks_with_nothing_to_kill_is_fine_and_says_so(scheduler: Scheduler) -> None:
    await scheduler.create()
    for call in (KillTasks(NO_JOB), KillTasks(JOB, frozenset({7}))):
        response = await scheduler.call(call)
        assert (response.response_code, message(response)) == (ResponseCode.OK, "No tasks to kill.")


async def test_restart_shards_restarts_those_instances(scheduler: Scheduler) -> None:
    await scheduler.create(3)
    await scheduler.run_all(JOB)
    response = await scheduler.call(RestartShards(JOB, frozenset({0, 2})), user="alice")
    assert (response.response_code, response.details) == (ResponseCode.OK, ())
    assert statuses(scheduler) == ["RESTARTING", "RUNNING", "RESTARTING"]
    assert scheduler.tasks(JOB)[0].task_events[-1].message == "Restarted by alice"
    assert scheduler.stats.get("thrift_workload_restartShards") == 2


async def test_restart_shards_restarts_all_of_them_or_none(scheduler: Scheduler) -> None:
    await scheduler.create(2)
    await scheduler.run_all(JOB)
    for call in (RestartShards(JOB, frozenset({0, 9})), RestartShards(NO_JOB, frozenset({0}))):
        assert refusal(await scheduler.call(call)) == ("INVALID_REQUEST", "Not all requested shards are active.")
    assert statuses(scheduler) == ["RUNNING"] * 2


async def test_restart_shards_wants_to_be_told_which(scheduler: Scheduler) -> None:
    assert refusal(await scheduler.call(RestartShards(JOB))) == ("ERROR", "Argument cannot be blank")


async def test_add_instances_go_above_the_highest_and_are_like_the_one_named(scheduler: Scheduler) -> None:
    await scheduler.create(3)
    await scheduler.call(KillTasks(JOB, frozenset({1})))
    assert (await scheduler.call(AddInstances(InstanceKey(JOB, 2), 2))).response_code is ResponseCode.OK
    tasks = scheduler.tasks(JOB)
    assert [task.assigned_task.instance_id for task in tasks] == [0, 2, 3, 4]
    assert len({task.assigned_task.task for task in tasks}) == 1
    assert scheduler.stats.get("thrift_workload_addInstances") == 2


@pytest.mark.parametrize(
    ("call", "refused"),
    [
        (AddInstances(None, 1), ("ERROR", "A job key was expected.")),
        (AddInstances(InstanceKey(BAD, 0), 1), ("ERROR", None)),
        (AddInstances(InstanceKey(JOB, 0), 0), ("INVALID_REQUEST", "Instance count must be positive.")),
        (AddInstances(InstanceKey(JOB, 7), 1), ("INVALID_REQUEST", "No active task found for a given instance ID.")),
        (
            AddInstances(InstanceKey(JOB, 0), 4000),
            ("INVALID_REQUEST", "Instance count must be between 1 and 4000 inclusive."),
        ),
    ],
)
async def test_add_instances_refuses_what_makes_no_sense(
    scheduler: Scheduler, call: AddInstances, refused: tuple[str, str | None]
) -> None:
    await scheduler.create()
    assert refusal(await scheduler.call(call)) == refused


async def test_instances_are_not_added_to_cron_jobs(scheduler: Scheduler) -> None:
    await scheduler.storage.write(lambda tx: tx.save_cron_job(JobConfiguration(key=JOB, cron_schedule="* * * * *")))
    response = await scheduler.call(AddInstances(InstanceKey(JOB, 0), 1))
    assert refusal(response) == ("INVALID_REQUEST", "Instances may not be added to cron jobs.")


@pytest.mark.parametrize(("key", "text"), [(None, "A job key was expected."), (BAD, None), (JobKey(), None)])
@pytest.mark.parametrize("kind", [KillTasks, RestartShards])
async def test_a_key_that_is_none_is_an_error(
    scheduler: Scheduler, kind: type[KillTasks] | type[RestartShards], key: JobKey | None, text: str | None
) -> None:
    assert refusal(await scheduler.call(kind(key))) == ("ERROR", text)
