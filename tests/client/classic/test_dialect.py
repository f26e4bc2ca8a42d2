"""The verb-only dialect of Aurora 0.5 (client-commands sheet, section 12)."""

from __future__ import annotations

from pathlib import Path

import pytest
from frozendict import frozendict

from aurorad.api.calls import (
    AbortJobUpdate,
    CreateJob,
    GetJobs,
    GetJobUpdateDiff,
    GetJobUpdateSummaries,
    GetQuota,
    GetTasksWithoutConfigs,
    KillTasks,
    PopulateJobConfig,
    RestartShards,
    StartCronJob,
    StartJobUpdate,
)
from aurorad.api.enums import ACTIVE_STATES, CronCollisionPolicy, JobUpdateStatus, ResponseCode, ScheduleStatus
from aurorad.api.results import GetJobsResult, GetJobUpdateDiffResult, GetQuotaResult, StartJobUpdateResult
from aurorad.api.tasks import JobConfiguration, JobKey, ResourceAggregate
from aurorad.api.updates import JobUpdateKey
from client.classic.verbs import VERBS
from client.nouns import OLD_VERBS
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import FakeScheduler, ok, refused
from tests.client.values import CONFIG, HELLO, task, tasks, update, updates

RUNNING, KILLED = ScheduleStatus.RUNNING, ScheduleStatus.KILLED


def alive(scheduler: FakeScheduler, *instances: int) -> None:
    """These run until they are killed, which is done at once."""
    running = tasks(*(task(i, RUNNING) for i in instances))
    killed = tasks(*(task(i, KILLED) for i in instances))
    scheduler.on(KillTasks, ok())
    scheduler.on(GetTasksWithoutConfigs, lambda call: running if call.query.statuses == ACTIVE_STATES else killed)


def test_create_tells_what_it_did_in_log_lines(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(CreateJob, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING)))
    ran = aurora("create", "-E", "word=hi", KEY, job_file)
    assert (ran.code, ran.out) == (0, "")
    lines = ran.err.splitlines()
    assert " INFO] Creating job hello" in lines
    assert " INFO] Response from scheduler: OK (message: 2 new tasks pending for job bozo/test/hello)" in lines
    assert lines[-1] == f" INFO] Job url: {scheduler.url}/scheduler/bozo/test/hello"


def test_a_refusal_is_status_1_with_what_the_scheduler_said(
    aurora: Runner, scheduler: FakeScheduler, job_file: Path
) -> None:
    scheduler.on(CreateJob, refused("Job bozo/test/hello already exists"))
    ran = aurora("create", KEY, job_file)
    assert ran.code == 1
    assert "Response from scheduler: INVALID_REQUEST (message: Job bozo/test/hello already exists)\n" in ran.err


def test_a_job_may_be_named_by_its_bare_name(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    ran = aurora("inspect", "--cluster=west", "--env=test", "hello", job_file)
    assert (ran.code, "  name:       'hello'\n" in ran.out) == (0, True)
    ran = aurora("inspect", "--env=prod", "hello", job_file)
    assert ran.code == 1
    assert f"hello, by --cluster, --env and name, is none of its jobs: {KEY} ({job_file})\n" in ran.err


def test_kill_without_shards_kills_the_job_with_one_call(aurora: Runner, scheduler: FakeScheduler) -> None:
    alive(scheduler, 0, 1)
    ran = aurora("kill", "-o", KEY)
    assert (ran.code, ran.out, scheduler.of(KillTasks)) == (0, "", [KillTasks(HELLO)])
    assert f" INFO] Killing tasks for job: {KEY}\n" in ran.err
    assert " INFO] Response from scheduler: OK (message: Tasks killed.)\n" in ran.err
    assert " INFO] Job url: " in ran.err


def test_kill_takes_shards_and_batches(aurora: Runner, scheduler: FakeScheduler) -> None:
    alive(scheduler, 0, 1, 2)
    assert aurora("kill", "--shards=0-1", KEY).code == 0
    assert aurora("kill", "--shards=0-2", "--batch_size=2", KEY).code == 0
    every = [call.instances for call in scheduler.of(KillTasks)]
    assert every == [frozenset({0, 1}), frozenset({0, 1}), frozenset({2})]


def test_a_kill_that_takes_too_long_is_told(aurora: Runner, scheduler: FakeScheduler, world: World) -> None:
    scheduler.on(KillTasks, ok())
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING)))
    ran = aurora("killall", KEY)
    assert (ran.code, ran.err.splitlines()[-1]) == (1, "Tasks were not killed in time.")


def test_restart_watches_as_it_is_told(aurora: Runner, scheduler: FakeScheduler, world: World) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(task(0, RUNNING)))
    scheduler.on(RestartShards, ok())
    ran = aurora("restart", "--watch_secs=10", "--updater_health_check_interval_seconds=5", KEY)
    assert (ran.code, world.slept, scheduler.of(RestartShards)) == (
        0,
        [5, 5, 5],
        [RestartShards(HELLO, frozenset({0}))],
    )


def test_an_instance_that_is_not_running_in_time_has_failed(
    aurora: Runner, scheduler: FakeScheduler, world: World
) -> None:
    pending = task(0, ScheduleStatus.PENDING)
    scheduler.on(
        GetTasksWithoutConfigs, lambda call: tasks(pending) if call.query.statuses == ACTIVE_STATES else tasks()
    )
    scheduler.on(RestartShards, ok())
    ran = aurora("restart", KEY)
    assert (ran.code, world.now) == (1, 63)
    assert "Instance 0 was not RUNNING within 60 seconds" in ran.err


def test_a_service_is_updated_by_the_scheduler_and_waited_for(
    aurora: Runner, scheduler: FakeScheduler, job_file: Path
) -> None:
    scheduler.on(GetJobUpdateDiff, ok(get_job_update_diff_result=GetJobUpdateDiffResult()))
    scheduler.on(StartJobUpdate, ok(start_job_update_result=StartJobUpdateResult(JobUpdateKey(HELLO, "u1"))))
    for status, code, words in (
        (JobUpdateStatus.ROLLED_FORWARD, 0, "Update successful"),
        (JobUpdateStatus.ROLLED_BACK, 1, "Update reverted"),
    ):
        scheduler.on(GetJobUpdateSummaries, updates(update(status)))
        ran = aurora("update", "--shards=1", KEY, job_file)
        assert (ran.code, ran.out, ran.err.splitlines()[-1]) == (code, "", f" INFO] {words}")
        request = scheduler.of(StartJobUpdate)[-1].request
        assert [(r.first, r.last) for r in request.settings.update_only_these_instances] == [(1, 1)]


@pytest.fixture
def once(job_file: Path) -> Path:
    job_file.write_text(job_file.read_text().replace("Service(", "Job("))
    return job_file


def test_a_job_that_runs_once_is_ended_and_created_anew(aurora: Runner, scheduler: FakeScheduler, once: Path) -> None:
    alive(scheduler, 0, 1)
    scheduler.on(PopulateJobConfig, ok())
    scheduler.on(GetJobUpdateDiff, refused("only services are updated"))
    scheduler.on(CreateJob, ok())
    ran = aurora("update", KEY, once)
    assert (ran.code, ran.out) == (0, "")
    changing = [type(call) for call in scheduler.calls if isinstance(call, (KillTasks, CreateJob))]
    assert changing == [KillTasks, CreateJob]
    told = [line.removeprefix(" INFO] ") for line in ran.err.splitlines()]
    assert [line for line in told if line.endswith(("]", "nstances added", "killed", "successful"))] == [
        "Examining instances: [0, 1]",
        "Killing instances: [0, 1]",
        "Instances killed",
        "Adding instances: [0, 1]",
        "Instances added",
        "Update successful",
    ]


def test_nothing_is_ended_for_a_job_that_would_be_refused(aurora: Runner, scheduler: FakeScheduler, once: Path) -> None:
    alive(scheduler, 0)
    scheduler.on(PopulateJobConfig, refused("no such tier"))
    ran = aurora("update", KEY, once)
    assert (ran.code, scheduler.of(KillTasks), "no such tier" in ran.err) == (1, [], True)
    assert aurora("update", "--shards=0", KEY, once).code == 1


def test_an_unchanged_job_is_left_alone(aurora: Runner, scheduler: FakeScheduler, once: Path) -> None:
    from aurorad.api.results import ConfigGroup
    from aurorad.api.updates import Range

    same = frozenset({ConfigGroup(CONFIG, frozenset({Range(0, 1)}))})
    scheduler.on(PopulateJobConfig, ok())
    scheduler.on(GetJobUpdateDiff, ok(get_job_update_diff_result=GetJobUpdateDiffResult(unchanged=same)))
    ran = aurora("update", KEY, once)
    assert (ran.code, scheduler.of(KillTasks)) == (0, [])
    assert " INFO] Skipping unchanged instances: [0, 1]\n INFO] Update successful\n" in ran.err


def test_update_is_a_noun_where_one_of_its_verbs_follows(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates())
    assert aurora("update", "list", "west").code == 0
    assert "subcommands:" in aurora("update", "--help").out
    assert aurora("update").code == 2


def test_cancel_update_aborts(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, updates(update(JobUpdateStatus.ROLLING_FORWARD)))
    scheduler.on(AbortJobUpdate, ok())
    ran = aurora("cancel_update", KEY)
    assert (ran.code, len(scheduler.of(AbortJobUpdate))) == (0, 1)


def test_status_is_told_in_log_lines(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks(task(1, KILLED), task(0, RUNNING, ports={"http": 31000})))
    ran = aurora("status", KEY)
    assert (ran.code, ran.out) == (0, "")
    lines = [line.removeprefix(" INFO] ") for line in ran.err.splitlines()]
    assert lines[:4] == [
        "Active Tasks (1)",
        "\trole: bozo, env: test, name: hello, shard: 0, status: RUNNING on host1",
        "\t  cpus: 2.0, ram: 2048 MB, disk: 4096 MB",
        "\t  ports: {'http': 31000}",
    ]
    assert "Inactive Tasks (1)" in lines
    scheduler.on(GetTasksWithoutConfigs, tasks())
    assert aurora("status", KEY).err == " INFO] No tasks found.\n"


def test_jobs_are_listed_with_their_schedules(aurora: Runner, scheduler: FakeScheduler) -> None:
    cron = JobConfiguration(
        JobKey("bozo", "test", "nightly"),
        cron_schedule="0 3 * * *",
        cron_collision_policy=CronCollisionPolicy.CANCEL_NEW,
    )
    scheduler.on(GetJobs, ok(get_jobs_result=GetJobsResult(frozenset({cron, JobConfiguration(HELLO)}))))
    assert aurora("list_jobs", "west/bozo").out == f"{KEY}\nwest/bozo/test/nightly\n"
    assert aurora("list_jobs", "-c", "west/bozo").out.splitlines()[1] == (
        "west/bozo/test/nightly\t'0 3 * * *'\tCANCEL_NEW"
    )
    pretty = aurora("list_jobs", "-c", "--pretty", "west/bozo").out
    assert "Job west/bozo/test/nightly:\n\tcron schedule: 0 3 * * *\n\tcron policy:   CANCEL_NEW\n" in pretty


def test_a_quota_is_told_in_gigabytes(aurora: Runner, scheduler: FakeScheduler) -> None:
    quota = GetQuotaResult(ResourceAggregate(CONFIG.resources))
    scheduler.on(GetQuota, ok(get_quota_result=quota))
    ran = aurora("get_quota", "--cluster=west", "bozo")
    words = "Total allocated quota for bozo:\nCPU\t2.0\nRAM\t2.000000 GB\nDisk\t4.000000 GB\n"
    assert (ran.code, ran.err) == (0, f" INFO] {words}")


def test_a_cron_job_is_started(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(StartCronJob, ok())
    assert (aurora("start_cron", KEY).code, scheduler.of(StartCronJob)) == (0, [StartCronJob(HELLO)])


def test_a_refused_cron_start_is_status_1(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(StartCronJob, refused("no", ResponseCode.INVALID_REQUEST))
    assert aurora("start_cron", KEY).code == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("ssh", KEY), "Shard is required\n"),
        (("ssh", KEY, "first"), "Shard must be an integer\n"),
        (("run", KEY), "Incorrect parameters for run: a command was expected after the job\n"),
        (("status", "bozo/hello"), "'bozo/hello' is not a job key: CLUSTER/ROLE/ENV/NAME was expected\n"),
        (("update", "bozo/hello", "hello.aurora"), "'bozo/hello' is not a job key: "),
        (("kill",), "FATAL] Incorrect parameters for kill\nusage: aurora kill "),
        (("kill", KEY, "a", "b"), "FATAL] Incorrect parameters for kill\nusage: aurora kill "),
    ],
)
def test_wrong_parameters_are_status_1(
    aurora: Runner, scheduler: FakeScheduler, words: tuple[str, ...], text: str
) -> None:
    ran = aurora(*words)
    assert (ran.code, text in ran.err, scheduler.calls) == (1, True, [])


def test_a_wrong_option_is_status_2(aurora: Runner) -> None:
    assert aurora("kill", "--fast", KEY).code == 2
    assert aurora("kill", "--batch_size=two", KEY).code == 2


def test_hooks_may_be_left_out_for_a_reason(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    alive(scheduler, 0)
    hook = "class No(object):\n  def pre_kill_job(self, job_key, shards=None):\n    return False\nhooks = [No()]\n"
    text = job_file.read_text().replace("name = 'hello',", "name = 'hello', enable_hooks = True,")
    job_file.write_text(hook + text)
    assert aurora("kill", KEY, job_file).code == 1
    ran = aurora("kill", "--disable_all_hooks_reason", "fire", KEY, job_file)
    assert ran.code == 0
    assert " INFO] Client hooks disabled; reason given by user: fire\n" in ran.err


def test_every_verb_explains_itself_and_names_its_successor(aurora: Runner) -> None:
    assert frozendict(VERBS).keys() == OLD_VERBS.keys()
    for name in VERBS:
        for words in ((name, "--help"), ("help", name)):
            if name != "update":  # which is a noun there
                ran = aurora(*words)
                assert (ran.code, f"'aurora {OLD_VERBS[name]}'" in " ".join(ran.out.split())) == (0, True)
