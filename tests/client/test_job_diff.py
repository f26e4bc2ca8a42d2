from __future__ import annotations

from pathlib import Path

import msgspec

from aurorad.api.calls import GetJobUpdateDiff, GetTasksStatus, PopulateJobConfig
from aurorad.api.enums import ScheduleStatus
from aurorad.api.results import ConfigGroup, GetJobUpdateDiffResult, PopulateJobResult
from aurorad.api.tasks import ExecutorConfig
from aurorad.api.updates import Range
from tests.client.conftest import KEY, Runner
from tests.client.fake_scheduler import FakeScheduler, ok, refused
from tests.client.values import CONFIG, task, tasks

OLD = msgspec.structs.replace(CONFIG, executor_config=ExecutorConfig("AuroraExecutor", '{"cmdline": "a\\nb"}'))
NEW = msgspec.structs.replace(CONFIG, executor_config=ExecutorConfig("AuroraExecutor", '{"cmdline": "a\\nc"}'))


def prepare(scheduler: FakeScheduler) -> None:
    scheduler.on(PopulateJobConfig, ok(populate_job_result=PopulateJobResult(NEW)))
    diff = GetJobUpdateDiffResult(
        add=frozenset({ConfigGroup(NEW, frozenset({Range(2, 3)}))}),
        update=frozenset({ConfigGroup(OLD, frozenset({Range(0, 0)}))}),
        unchanged=frozenset({ConfigGroup(NEW, frozenset({Range(1, 1)}))}),
    )
    scheduler.on(GetJobUpdateDiff, ok(get_job_update_diff_result=diff))


def test_it_shows_the_differing_lines_of_a_command(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    prepare(scheduler)
    ran = aurora("job", "diff", KEY, job_file)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[:4] == ["This job update will:", "add instances: [2-3]", "update instances: [0]", "with diff:"]
    assert '< b"' in lines
    assert '> c"' in lines
    assert lines[-1] == "not change instances: [1]"


def test_the_program_may_be_another(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    prepare(scheduler)
    assert '+c"' in aurora("job", "diff", KEY, job_file, DIFF_VIEWER="diff -u").out
    ran = aurora("job", "diff", KEY, job_file, DIFF_VIEWER="/no/such/program")
    assert (ran.code, ran.err) == (4, "Error running /no/such/program: No such file or directory\n")
    ran = aurora("job", "diff", KEY, job_file, DIFF_VIEWER="diff --no-such-option")
    assert ran.code == 4
    assert ran.err.startswith("Error running diff: ")


def test_a_cron_job_is_compared_with_all_its_tasks(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    prepare(scheduler)
    scheduler.on(GetTasksStatus, tasks(task(0, ScheduleStatus.RUNNING, config=OLD)))
    job_file.write_text(job_file.read_text().replace("instances = 2", "cron_schedule = '* * * * *'"))
    assert '< b"' in aurora("job", "diff", KEY, job_file).out
    assert scheduler.of(GetJobUpdateDiff) == []


def test_another_job_may_be_compared_with(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    prepare(scheduler)
    scheduler.on(GetTasksStatus, tasks(*(task(i, ScheduleStatus.RUNNING, config=NEW) for i in (0, 1))))
    assert aurora("job", "diff", "--from", "west/bozo/prod/hello", KEY, job_file).out.strip() == ""
    (call,) = scheduler.of(GetTasksStatus)
    assert {key.environment for key in call.query.job_keys} == {"prod"}


def test_failures_have_their_own_sentences(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    prepare(scheduler)
    scheduler.on(GetJobUpdateDiff, refused("no"))
    ran = aurora("job", "diff", KEY, job_file)
    assert (ran.code, ran.err) == (4, "Error getting diff info from scheduler\n\tno\n")
    scheduler.on(PopulateJobConfig, refused("bad"))
    ran = aurora("job", "diff", KEY, job_file)
    assert (ran.code, ran.err) == (3, "Error loading configuration\n\tbad\n")
