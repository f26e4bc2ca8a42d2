import logging

import pytest

from aurorad.api.calls import CreateJob, GetJobs, KillTasks, StartJobUpdate
from aurorad.api.enums import ResponseCode
from aurorad.api.tasks import ExecutorConfig, JobConfiguration, JobKey, TaskConfig
from aurorad.api.updates import JobUpdateRequest
from aurorad.scheduler.rpc.call_log import note, text

JOB = JobKey("www", "prod", "web")
TASK = TaskConfig(JOB, executor_config=ExecutorConfig("AuroraExecutor", '{"password": "secret"}'))


def test_whoever_changes_something_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "aurorad.calls"):
        note(KillTasks(JOB, frozenset({7}), "two\nlines"), "alice", ResponseCode.OK)
        note(GetJobs("www"), "alice", ResponseCode.OK)
    assert [record.getMessage() for record in caplog.records] == [
        'alice: killTasks {"job":{"role":"www","environment":"prod","name":"web"},"instances":[7],'
        '"message":"two\\nlines"}: OK'
    ]


@pytest.mark.parametrize(
    "call",
    [CreateJob(JobConfiguration(JOB, task_config=TASK)), StartJobUpdate(JobUpdateRequest(TASK, 1))],
    ids=lambda call: type(call).__name__,
)
def test_what_executors_are_told_is_nobodys_business(call: CreateJob | StartJobUpdate) -> None:
    assert "secret" not in text(call)
    assert '"executorConfig":{"name":"BLANKED","data":"BLANKED"}' in text(call)


def test_a_long_call_is_cut() -> None:
    assert len(text(KillTasks(JOB, frozenset(range(100_000))))) < 2_100
