"""An evaluated job to the API's JobConfiguration (config-schema sheet, sections 12, 14 and 15)."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pystachio import Empty

from aurorad.api import keys
from aurorad.api.enums import AURORA_EXECUTOR_NAME, CronCollisionPolicy, Mode
from aurorad.api.tasks import (
    AppcImage,
    Constraint,
    Container,
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    DockerContainer,
    DockerImage,
    DockerParameter,
    ExecutorConfig,
    Identity,
    Image,
    JobConfiguration,
    JobKey,
    LimitConstraint,
    MesosContainer,
    Metadata,
    PartitionPolicy,
    PercentageSlaPolicy,
    Resource,
    SlaPolicy,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
    Volume,
)
from aurorad.jobfile import numbers, ports
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.jobs import JobConfig
from aurorad.jobfile.values import Choice, Job, Resources

_MB = 1 << 20
# An update that only touches these must not change the task (config-schema sheet, section 14).
_NOT_FOR_EXECUTOR = {"update_config": Empty, "instances": Empty}


def convert(config: JobConfig, user: str) -> JobConfiguration:
    """`user` is the login name of whoever sends it. Raises `ConfigError`."""
    job = config.job
    key, owner = _key(job), Identity(user)
    task = TaskConfig(
        job=key,
        owner=owner,
        is_service=job.service,
        priority=job.priority,
        max_task_failures=job.max_task_failures,
        production=job.production,
        tier=job.tier,
        resources=frozenset(_resources(config)),
        constraints=frozenset(_constraint(name, text) for name, text in job.constraints.items()),
        contact_email=job.contact,
        executor_config=_executor(config),
        metadata=frozenset(Metadata(pair.key, pair.value) for pair in job.metadata),
        partition_policy=_partition_policy(job),
        sla_policy=_sla_policy(job.sla_policy),
        container=_container(job.container),
    )
    return JobConfiguration(
        key=key,
        owner=owner,
        cron_schedule=job.cron_schedule,
        cron_collision_policy=_collision_policy(job.cron_collision_policy),
        task_config=task,
        instance_count=job.instances,
    )


def _key(job: Job) -> JobKey:
    for what, text in (("role", job.role), ("environment", job.environment), ("name", job.name)):
        if not keys.is_identifier(text):
            raise ConfigError(f"Invalid {what} '{text}'")
    return JobKey(job.role, job.environment, job.name)


def _collision_policy(text: str) -> CronCollisionPolicy:
    try:
        return CronCollisionPolicy[text.upper()]
    except KeyError:
        raise ConfigError(f"Invalid CronCollisionPolicy type: {text}") from None


def _resources(config: JobConfig) -> Iterator[Resource]:
    task = config.job.task
    if task.resources is None:
        raise ConfigError("Task must specify resources!")
    wanted: Resources = task.resources
    if not wanted.ram or not wanted.disk:
        raise ConfigError(f"Must specify ram and disk resources, got ram:{wanted.ram} disk:{wanted.disk}")
    ram_mb, disk_mb = wanted.ram // _MB, wanted.disk // _MB
    if min(wanted.cpu, ram_mb, disk_mb) <= 0:
        raise ConfigError(
            "Task has invalid resources.  cpu/ramMb/diskMb must all be positive: "
            f"cpu:{wanted.cpu:g} ramMb:{ram_mb} diskMb:{disk_mb}"
        )
    yield Resource(num_cpus=wanted.cpu)
    yield Resource(ram_mb=ram_mb)
    yield Resource(disk_mb=disk_mb)
    if wanted.gpu:
        yield Resource(num_gpus=wanted.gpu)
    announce = config.job.announce
    for port in ports.requested(announce.portmap if announce is not None else {}, config.ports):
        yield Resource(named_port=port)


def _constraint(name: str, text: str) -> Constraint:
    kind, colon, rest = text.partition(":")
    if kind == "limit" and colon:
        try:
            limit = int(rest)
        except ValueError:
            raise ConfigError(f"{text} is not a valid limit value, must be integer") from None
        if abs(limit) > numbers.INT32:
            raise ConfigError(f"{text} is not a valid limit value, must be at most {numbers.INT32}")
        return Constraint(name, TaskConstraint(limit=LimitConstraint(limit)))
    negated = text.startswith("!")
    values = frozenset(text.removeprefix("!").split(","))
    return Constraint(name, TaskConstraint(value=ValueConstraint(negated, values)))


def _executor(config: JobConfig) -> ExecutorConfig:
    wanted = config.job.executor_config
    if wanted.name != AURORA_EXECUTOR_NAME:
        return ExecutorConfig(wanted.name, wanted.data)
    # Sorted, so that the same file gives the same task every time.
    return ExecutorConfig(AURORA_EXECUTOR_NAME, json.dumps(config.source(**_NOT_FOR_EXECUTOR).get(), sort_keys=True))


def _partition_policy(job: Job) -> PartitionPolicy | None:
    policy = job.partition_policy
    return None if policy is None else PartitionPolicy(policy.reschedule, policy.delay_secs)


def _sla_policy(policy: Choice | None) -> SlaPolicy | None:
    match policy:
        case None:
            return None
        case {"percentage": percentage, "duration_secs": duration}:
            return SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(percentage, duration))
        case {"count": count, "duration_secs": duration}:
            return SlaPolicy(count_sla_policy=CountSlaPolicy(count, duration))
        case {"coordinator_url": url, "status_key": status_key}:
            return SlaPolicy(coordinator_sla_policy=CoordinatorSlaPolicy(url, status_key))
    raise ConfigError(f"Unknown SLA policy {policy}")


def _container(container: Choice | None) -> Container:
    match container:
        case None:
            return Container(mesos=MesosContainer())
        case {"volumes": volumes}:
            mounts = tuple(Volume(v["container_path"], v["host_path"], Mode[v["mode"]]) for v in volumes)
            return Container(mesos=MesosContainer(_image(container.get("image")), mounts))
        case {"docker": {"image": image, "parameters": parameters}} | {"image": image, "parameters": parameters}:
            extra = tuple(DockerParameter(p["name"], p["value"]) for p in parameters)
            return Container(docker=DockerContainer(image, extra))
    raise ConfigError("If a container is specified it must set one type.")


def _image(image: Choice | None) -> Image | None:
    match image:
        case None:
            return None
        case {"name": name, "tag": tag}:
            return Image(docker=DockerImage(name, tag))
        case {"name": name, "image_id": image_id}:
            return Image(appc=AppcImage(name, image_id))
    raise ConfigError("Invalid image configuration: unexpected image type found.")
