"""Apache's library, with classes of the official compiler from our IDL, makes every call of a real daemon."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.transport.THttpClient import THttpClient

from aurorad.api import calls
from aurorad.api.calls import CALLS, Call
from aurorad.api.enums import JobUpdatePulseStatus, ResponseCode, ScheduleStatus
from aurorad.api.results import Response
from aurorad.api.struct import ThriftStruct, fields_of
from aurorad.api.tasks import (
    Constraint,
    ExecutorConfig,
    ExplicitReconciliationSettings,
    Hosts,
    Identity,
    InstanceKey,
    JobConfiguration,
    JobKey,
    Metadata,
    Resource,
    ResourceAggregate,
    TaskConfig,
    TaskConstraint,
    TaskQuery,
    ValueConstraint,
)
from aurorad.api.updates import JobUpdateKey, JobUpdateQuery, JobUpdateRequest, JobUpdateSettings
from tests.api.apache import Apache
from tests.contract.daemon import Daemon, running
from tests.contract.rows.scenarios import SETUP

# Whatever it sends, the library says application/x-thrift.
PROTOCOLS: dict[str, Callable[[Any], Any]] = {
    "json": TJSONProtocol,
    "binary": TBinaryProtocol,
    "compact": TCompactProtocol,
}
OK, ERROR = ResponseCode.OK, ResponseCode.ERROR


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(SETUP, tmp_path_factory.mktemp("calls")) as started:
        yield started


class Caller:
    def __init__(self, apache: Apache, daemon: Daemon, protocol: str) -> None:
        self._apache = apache
        self._transport = THttpClient(f"http://{daemon.scheduler}/api")
        self._client = apache.service.Client(PROTOCOLS[protocol](self._transport))
        self.made: set[str] = set()

    def __call__(self, call: Call, code: ResponseCode = OK) -> Response:
        arguments = {field.name: self._theirs(getattr(call, field.attribute)) for field in fields_of(type(call))}
        answer = self._apache.ours(Response, getattr(self._client, call.method())(**arguments))
        assert isinstance(answer, Response)
        assert answer.response_code is code, answer
        assert answer.server_info is not None
        self.made.add(call.method())
        return answer

    def _theirs(self, value: object) -> object:
        return self._apache.theirs(value) if isinstance(value, ThriftStruct) else value

    def close(self) -> None:
        self._transport.close()


def config(job: JobKey, priority: int = 0, *, is_service: bool = True) -> TaskConfig:
    nowhere = Constraint("nosuch", TaskConstraint(value=ValueConstraint(values=frozenset({"x"}))))
    return TaskConfig(
        job,
        owner=Identity("alice"),
        is_service=is_service,
        priority=priority,
        tier="preemptible",
        resources=frozenset({Resource(num_cpus=0.5), Resource(ram_mb=64), Resource(disk_mb=64)}),
        constraints=frozenset({nowhere}),
        metadata=frozenset({Metadata("kéy", "välue")}),
        executor_config=ExecutorConfig("AuroraExecutor", "{}"),
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_apaches_library_makes_every_call(apache: Apache, daemon: Daemon, protocol: str) -> None:
    with contextlib.closing(Caller(apache, daemon, protocol)) as call:
        every_call(call, f"apache-{protocol}")


def every_call(call: Caller, role: str) -> None:
    job, nightly = JobKey(role, "prod", "web"), JobKey(role, "prod", "nightly")
    query = TaskQuery(role=role)
    description = JobConfiguration(job, Identity("alice"), task_config=config(job), instance_count=3)
    quota = ResourceAggregate(frozenset({Resource(num_cpus=4.0), Resource(ram_mb=512), Resource(disk_mb=512)}))

    call(calls.SetQuota(role, quota))
    populated = call(calls.PopulateJobConfig(description)).result
    assert populated is not None
    assert populated.populate_job_result is not None
    assert populated.populate_job_result.task_config == config(job)
    call(calls.CreateJob(description))
    call(calls.AddInstances(InstanceKey(job, 0), 2))
    jobs_and_tasks(call, job, query)
    call(calls.RestartShards(job, frozenset({0, 1})))
    updates(call, job)
    cron(call, nightly)
    operations(call, query)
    call(calls.KillTasks(job, frozenset({0}), "not needed"))
    call(calls.KillTasks(job))
    assert call.made == set(CALLS)


def jobs_and_tasks(call: Caller, job: JobKey, query: TaskQuery) -> None:
    found = call(calls.GetTasksStatus(query)).result
    assert found is not None
    assert found.schedule_status_result is not None
    tasks = found.schedule_status_result.tasks
    assert sorted(task.assigned_task.instance_id for task in tasks) == [0, 1, 2, 3, 4]
    assert {task.assigned_task.task for task in tasks} == {config(job)}
    call(calls.GetTasksWithoutConfigs(query))
    call(calls.GetPendingReason(query))
    call(calls.GetConfigSummary(job))
    call(calls.GetJobs(job.role))
    call(calls.GetJobSummary(job.role))
    call(calls.GetRoleSummary())
    call(calls.GetQuota(job.role))
    call(calls.GetTierConfigs())
    call(calls.ForceTaskState(tasks[0].assigned_task.task_id, ScheduleStatus.ASSIGNED))


def updates(call: Caller, job: JobKey) -> None:
    pulsed = JobUpdateSettings(
        update_group_size=1, min_wait_in_instance_running_ms=1000, block_if_no_pulses_after_ms=60_000
    )
    request = JobUpdateRequest(config(job, priority=1), 5, pulsed, frozenset({Metadata("id", "7")}))
    call(calls.GetJobUpdateDiff(request))
    started = call(calls.StartJobUpdate(request, "new")).result
    assert started is not None
    assert started.start_job_update_result is not None
    key = started.start_job_update_result.key
    assert isinstance(key, JobUpdateKey)
    pulse = call(calls.PulseJobUpdate(key)).result
    assert pulse is not None
    assert pulse.pulse_job_update_result is not None
    assert pulse.pulse_job_update_result.status is JobUpdatePulseStatus.OK
    call(calls.PauseJobUpdate(key, "wait"))
    call(calls.ResumeJobUpdate(key, "go on"))
    call(calls.RollbackJobUpdate(key, "back"))
    call(calls.GetJobUpdateSummaries(JobUpdateQuery(role=job.role)))
    call(calls.GetJobUpdateDetails(query=JobUpdateQuery(key=key)))
    call(calls.AbortJobUpdate(key, "enough"))


def cron(call: Caller, job: JobKey) -> None:
    ran = config(job, is_service=False)
    template = JobConfiguration(job, Identity("alice"), "0 3 1 1 *", task_config=ran, instance_count=1)
    call(calls.ScheduleCronJob(template))
    call(calls.ReplaceCronTemplate(template))
    call(calls.StartCronJob(job))
    call(calls.DescheduleCronJob(job))
    call(calls.KillTasks(job))


def operations(call: Caller, query: TaskQuery) -> None:
    """Hosts are strangers, and no recovery is committed: others use the daemon, too."""
    hosts = Hosts(frozenset({"nowhere.example"}))
    call(calls.StartMaintenance(hosts))
    call(calls.DrainHosts(hosts))
    call(calls.SlaDrainHosts(hosts, timeout_secs=60))
    call(calls.MaintenanceStatus(hosts))
    call(calls.EndMaintenance(hosts))
    call(calls.Snapshot())
    call(calls.TriggerImplicitTaskReconciliation())
    call(calls.TriggerExplicitTaskReconciliation(ExplicitReconciliationSettings(10)))
    call(calls.PruneTasks(query))
    call(calls.UnloadRecovery())
    call(calls.CommitRecovery(), ERROR)
    call(calls.PerformBackup())
    listed = call(calls.ListBackups()).result
    assert listed is not None
    assert listed.list_backups_result is not None
    call(calls.StageRecovery(min(listed.list_backups_result.backups)))
    call(calls.QueryRecovery(query))
    call(calls.DeleteRecoveryTasks(query))
    call(calls.UnloadRecovery())
