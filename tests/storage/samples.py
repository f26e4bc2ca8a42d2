"""Values and hypothesis strategies that the tests of storage share."""

from __future__ import annotations

from frozendict import frozendict
from hypothesis import strategies as st

from aurorad.api import storage as s
from aurorad.api.enums import JobUpdateAction, JobUpdateStatus, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    Attribute,
    ExecutorConfig,
    HostAttributes,
    HostMaintenanceRequest,
    JobConfiguration,
    JobKey,
    Metadata,
    Resource,
    ResourceAggregate,
    ScheduledTask,
    TaskConfig,
    TaskEvent,
)
from aurorad.api.updates import (
    InstanceTaskConfig,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateKey,
    JobUpdateSummary,
    Range,
)
from aurorad.storage.operations import Assignment, AssignTasks, InsertTasks, MoveTasks, RemoveTasks, SaveTasks

JOB = JobKey("www", "prod", "hello")


def config(job: JobKey = JOB, data: str = "{}") -> TaskConfig:
    return TaskConfig(
        job=job,
        resources=frozenset({Resource(num_cpus=0.5), Resource(ram_mb=128), Resource(named_port="http")}),
        task_links=frozendict({"http": "http://%host%"}),
        metadata=frozenset({Metadata("a", "b"), Metadata("c", "d")}),
        executor_config=ExecutorConfig("AuroraExecutor", data),
    )


CONFIG = config()


def task(
    task_id: str,
    status: ScheduleStatus = ScheduleStatus.PENDING,
    host: str | None = None,
    config: TaskConfig = CONFIG,
    instance: int = 0,
) -> ScheduledTask:
    ports = frozendict({"http": 31000}) if host else frozendict()
    assigned = AssignedTask(task_id, host and f"agent-{host}", host, config, ports, instance)
    return ScheduledTask(assigned, status, task_events=(TaskEvent(1, ScheduleStatus.PENDING, "why", "me"),))


def update(key: JobUpdateKey, desired: TaskConfig = CONFIG) -> JobUpdate:
    instructions = JobUpdateInstructions(
        frozenset({InstanceTaskConfig(CONFIG, frozenset({Range(0, 3)}))}),
        InstanceTaskConfig(desired, frozenset({Range(0, 3)})),
    )
    return JobUpdate(JobUpdateSummary(key, "bob", metadata=frozenset({Metadata("k", "v")})), instructions)


# Few different values, so that rows are overwritten and removed, and configurations shared.
jobs = st.sampled_from([JobKey("www", "prod", name) for name in ("a", "b")] + [JobKey("ads", "devel", "a")])
configs = st.builds(config, jobs, st.sampled_from(["", "x", "y" * 300]))
hosts = st.sampled_from([None, "h1", "h2"])
task_ids = st.sampled_from([f"task-{number}" for number in range(8)])
tasks = st.builds(task, task_ids, st.sampled_from(ScheduleStatus), hosts, configs, st.integers(0, 3))
update_keys = st.builds(JobUpdateKey, jobs, st.sampled_from(["u1", "u2"]))
timestamps = st.integers(0, 2**45)
quotas = st.builds(ResourceAggregate, st.frozensets(st.builds(Resource, ram_mb=st.integers(1, 9)), max_size=2))
host_attributes = st.builds(
    HostAttributes,
    st.sampled_from(["h1", "h2"]),
    st.frozensets(st.builds(Attribute, st.sampled_from("ab"), st.frozensets(st.sampled_from("xyz"))), max_size=2),
    st.sampled_from(MaintenanceMode),
    st.sampled_from(["agent-1", "agent-2"]),
)
update_events = st.builds(JobUpdateEvent, st.sampled_from(JobUpdateStatus), timestamps)
instance_events = st.builds(JobInstanceUpdateEvent, st.integers(0, 3), timestamps, st.sampled_from(JobUpdateAction))

task_events = st.builds(
    TaskEvent, st.integers(0, 9), st.sampled_from(ScheduleStatus), st.sampled_from([None, "why"]), st.just("me")
)
saved_tasks = st.lists(tasks, min_size=1, max_size=4, unique_by=lambda t: t.assigned_task.task_id)

ops = st.one_of(
    saved_tasks.map(SaveTasks),
    st.lists(task_ids, max_size=3, unique=True).map(RemoveTasks),
    st.lists(st.tuples(task_ids, task_events), min_size=1, max_size=4).map(MoveTasks),
    st.lists(
        st.builds(
            Assignment,
            task_ids,
            st.sampled_from(["h1", "h2"]),
            st.sampled_from(["agent-h1", "agent-h2"]),
            st.sampled_from([frozendict(), frozendict({"http": 31000})]),
            task_events,
        ),
        min_size=1,
        max_size=4,
    ).map(AssignTasks),
    st.builds(
        InsertTasks,
        configs,
        st.just("task-"),
        st.sampled_from(["", "-x"]),
        st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True).map(lambda ids: tuple(sorted(ids))),
        task_events,
    ),
    st.sampled_from(["f1", "f2"]).map(lambda text: s.Op(save_framework_id=s.SaveFrameworkId(text))),
    configs.map(
        lambda c: s.Op(save_cron_job=s.SaveCronJob(JobConfiguration(c.job, cron_schedule="* * * * *", task_config=c)))
    ),
    jobs.map(lambda job: s.Op(remove_job=s.RemoveJob(job))),
    st.tuples(st.sampled_from(["www", "ads"]), quotas).map(lambda pair: s.Op(save_quota=s.SaveQuota(*pair))),
    st.sampled_from(["www", "ads"]).map(lambda role: s.Op(remove_quota=s.RemoveQuota(role))),
    host_attributes.map(lambda host: s.Op(save_host_attributes=s.SaveHostAttributes(host))),
    st.tuples(update_keys, configs).map(lambda pair: s.Op(save_job_update=s.SaveJobUpdate(update(*pair)))),
    st.frozensets(update_keys, max_size=2).map(lambda keys: s.Op(remove_job_update=s.RemoveJobUpdates(keys))),
    st.tuples(update_events, update_keys).map(lambda pair: s.Op(save_job_update_event=s.SaveJobUpdateEvent(*pair))),
    st.tuples(instance_events, update_keys).map(
        lambda pair: s.Op(save_job_instance_update_event=s.SaveJobInstanceUpdateEvent(*pair))
    ),
    st.sampled_from(["h1", "h2"]).map(
        lambda host: s.Op(save_host_maintenance_request=s.SaveHostMaintenanceRequest(HostMaintenanceRequest(host)))
    ),
    st.sampled_from(["h1", "h2"]).map(
        lambda host: s.Op(remove_host_maintenance_request=s.RemoveHostMaintenanceRequest(host))
    ),
)
