"""Which call needs which permission (security sheet, section 4)."""

from __future__ import annotations

import pytest

from aurorad.api.calls import (
    CALLS,
    AbortJobUpdate,
    AddInstances,
    AdminCall,
    Call,
    CreateJob,
    DescheduleCronJob,
    KillTasks,
    ManagerCall,
    PauseJobUpdate,
    PulseJobUpdate,
    ReadOnlyCall,
    ReplaceCronTemplate,
    RestartShards,
    ResumeJobUpdate,
    RollbackJobUpdate,
    ScheduleCronJob,
    SetQuota,
    StartCronJob,
    StartJobUpdate,
)
from aurorad.api.tasks import InstanceKey, JobConfiguration, JobKey, TaskConfig
from aurorad.api.updates import JobUpdateKey, JobUpdateRequest
from aurorad.rules.authorization import BadJob, NotAuthenticated, NotPermitted, check, needed
from aurorad.rules.permissions import ANONYMOUS, Caller, parse, single

JOB = JobKey("ads", "prod", "web")
DESCRIPTION = JobConfiguration(JOB, task_config=TaskConfig(job=JOB))
UPDATE = JobUpdateKey(JOB, "u")

OF_JOBS: list[ManagerCall] = [
    CreateJob(DESCRIPTION),
    ScheduleCronJob(DESCRIPTION),
    ReplaceCronTemplate(DESCRIPTION),
    DescheduleCronJob(JOB),
    StartCronJob(JOB),
    RestartShards(JOB),
    KillTasks(JOB),
    AddInstances(InstanceKey(JOB, 0)),
    StartJobUpdate(JobUpdateRequest(TaskConfig(job=JOB))),
    PauseJobUpdate(UPDATE),
    ResumeJobUpdate(UPDATE),
    AbortJobUpdate(UPDATE),
    RollbackJobUpdate(UPDATE),
    PulseJobUpdate(UPDATE),
]


def of(service: type[Call]) -> list[type[Call]]:
    return [call for call in CALLS.values() if issubclass(call, service)]


def test_these_are_all_calls_on_jobs() -> None:
    assert {type(call) for call in OF_JOBS} == set(of(ManagerCall))


@pytest.mark.parametrize("call", OF_JOBS, ids=lambda call: call.method())
def test_a_call_on_a_job_needs_a_permission_for_that_job(call: ManagerCall) -> None:
    wanted = needed(call)
    assert wanted is not None
    assert wanted.permission == single("thrift.AuroraSchedulerManager", call.method(), "ads", "prod", "web")


@pytest.mark.parametrize("call", of(ManagerCall), ids=lambda call: call.method())
def test_a_call_on_no_job_cannot_be_judged(call: type[Call]) -> None:
    with pytest.raises(BadJob, match=r"Missing or invalid job key from request\."):
        needed(call())


def test_a_job_that_cannot_be_called_so_cannot_be_judged() -> None:
    with pytest.raises(BadJob):
        needed(KillTasks(JobKey("a:b", "*", "c")))


@pytest.mark.parametrize("call", of(AdminCall), ids=lambda call: call.method())
def test_a_call_on_the_cluster_needs_a_permission_for_itself(call: type[Call]) -> None:
    wanted = needed(call())
    assert wanted is not None
    assert wanted.permission == single("thrift.AuroraAdmin", call.method())


@pytest.mark.parametrize("call", of(ReadOnlyCall), ids=lambda call: call.method())
def test_a_call_that_reads_needs_none_and_a_caller_only_if_reading_is_closed(call: type[Call]) -> None:
    check(call(), ANONYMOUS, anonymous_reads=True)
    check(call(), Caller("joe"), anonymous_reads=False)
    with pytest.raises(NotAuthenticated):
        check(call(), ANONYMOUS, anonymous_reads=False)


@pytest.mark.parametrize("anonymous_reads", [True, False])
@pytest.mark.parametrize("call", [*of(ManagerCall), *of(AdminCall)], ids=lambda call: call.method())
def test_who_is_unknown_hears_nothing_but_that(call: type[Call], anonymous_reads: bool) -> None:
    with pytest.raises(NotAuthenticated):
        check(call(), ANONYMOUS, anonymous_reads=anonymous_reads)


def test_who_is_known_hears_of_a_bad_key_whatever_it_may() -> None:
    with pytest.raises(BadJob):
        check(KillTasks(), Caller("joe"), anonymous_reads=True)


def test_a_refusal_has_the_originals_words() -> None:
    joe = Caller("joe", (parse("thrift.AuroraSchedulerManager:killTasks:ads:test"),))
    with pytest.raises(NotPermitted) as of_job:
        check(KillTasks(JOB), joe, anonymous_reads=True)
    assert str(of_job.value) == (
        "Subject joe is not permitted to JobScopedRpcPermission{rpc=killTasks, "
        "permittedJob=IJobKey{role=ads, environment=prod, name=web}}."
    )
    with pytest.raises(NotPermitted) as of_cluster:
        check(SetQuota(), joe, anonymous_reads=True)
    assert str(of_cluster.value) == (
        "Subject joe lacks permission UnscopedRpcPermission{domain=thrift.AuroraAdmin, rpc=setQuota}"
    )
