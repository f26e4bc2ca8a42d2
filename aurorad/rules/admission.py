"""Which jobs and tasks are let in, and what is filled in for them (config-validation sheet; rule numbers are its own).

The first failing rule wins. Nothing is changed in place: the answer is a sanitised copy.
"""

from __future__ import annotations

import math
import re
from collections import Counter

import msgspec
from frozendict import frozendict

from aurorad.api import keys
from aurorad.api.enums import AURORA_EXECUTOR_NAME, ResponseCode
from aurorad.api.struct import fields_of
from aurorad.api.tasks import (
    Constraint,
    Container,
    CountSlaPolicy,
    DockerContainer,
    DockerParameter,
    JobConfiguration,
    JobKey,
    MesosContainer,
    PercentageSlaPolicy,
    Resource,
    TaskConfig,
)
from aurorad.api.text import render, thrift_text
from aurorad.rules.tiers import Tiers

DEDICATED = "dedicated"
_DEFAULT_LINKS = frozendict({name: f"http://%host%:%port:{name}%" for name in ("health", "http")})
_DISPLAY_NAMES = {"num_cpus": "CPU", "ram_mb": "RAM", "disk_mb": "disk", "num_gpus": "GPU"}  # ports may be many

_MOST = 1 << 40  # of each: no host has it, and sums over all tasks still fit into the answers' 64 bits


class AdmissionError(ValueError):
    """A configuration that is not let in. The text is for its sender; `code` is what the answer carries."""

    def __init__(self, message: str, code: ResponseCode = ResponseCode.INVALID_REQUEST) -> None:
        super().__init__(message)
        self.code = code


class AdmissionLimits(msgspec.Struct, frozen=True):
    """What operators allow (config-validation sheet, section 7)."""

    allowed_job_environments: re.Pattern[str] = re.compile(r"^(prod|devel|test|staging\d*)$")
    max_tasks_per_job: int = 4000
    allowed_container_types: frozenset[str] = frozenset({"MESOS"})
    allow_docker_parameters: bool = False
    default_docker_parameters: tuple[DockerParameter, ...] = ()
    require_docker_use_executor: bool = True
    enable_mesos_fetcher: bool = False
    allow_container_volumes: bool = False
    allow_gpu_resource: bool = False
    min_required_instances_for_sla_check: int = 20
    max_sla_duration_secs: int = 7200
    sla_aware_kill_non_prod: bool = False
    executors: frozenset[str] = frozenset({AURORA_EXECUTOR_NAME})


def populate(job: JobConfiguration, limits: AdmissionLimits, tiers: Tiers) -> JobConfiguration:
    """The job as it is let in, rules J1-J7. Raises `AdmissionError`."""
    if job.task_config == TaskConfig():
        raise AdmissionError("Job configuration must have taskConfig set.")
    if job.instance_count <= 0:
        raise AdmissionError("Instance count must be positive.")
    _check_key(job.key)
    if not limits.allowed_job_environments.fullmatch(job.key.environment):
        pattern = limits.allowed_job_environments.pattern
        raise AdmissionError(f"Job environment {job.key.environment} doesn't match: {pattern}")
    if job.owner is not None and not keys.is_identifier(job.owner.user or ""):
        raise AdmissionError(f"Job user contains illegal characters: {render(job.owner.user)}")
    task = populate_task(job.task_config, job.instance_count, limits, tiers)
    if job.cron_schedule and task.is_service:
        raise AdmissionError(f"A service task may not be run on a cron schedule: {thrift_text(job)}")
    return msgspec.structs.replace(job, task_config=task)


def populate_task(config: TaskConfig, instance_count: int, limits: AdmissionLimits, tiers: Tiers) -> TaskConfig:
    """The task as it is let in, rules T1-T24: tier, production, docker parameters and links are filled in.

    Raises `AdmissionError`.
    """
    config = _with_tier(config, tiers)
    _check_key(config.job)
    _check_executor(config, limits)
    _check_constraints(config)
    config = msgspec.structs.replace(config, container=_admitted_container(config, limits))
    _check_resources(config, limits)
    if config.mesos_fetcher_uris and not limits.enable_mesos_fetcher:
        raise AdmissionError("Mesos Fetcher for individual jobs is disabled in this cluster.")
    if config.container.mesos is not None and config.container.mesos.volumes and not limits.allow_container_volumes:
        raise AdmissionError("This scheduler is configured to disallow container volumes.")
    _check_sla(config, instance_count, limits)
    return config if config.task_links else msgspec.structs.replace(config, task_links=_default_links(config))


def check_instance_count(count: int, limits: AdmissionLimits) -> None:
    """The limit on the size of a whole job, applied by writes only (section 5). Raises `AdmissionError`."""
    if not 0 < count <= limits.max_tasks_per_job:
        raise AdmissionError(f"Instance count must be between 1 and {limits.max_tasks_per_job} inclusive.")


def is_dedicated(config: TaskConfig) -> bool:
    return any(constraint.name == DEDICATED for constraint in config.constraints)


def _check_key(key: JobKey) -> None:
    if not keys.is_valid(key):
        raise AdmissionError(f"Job key {'null' if key == JobKey() else render(key)} is invalid.")
    if not keys.is_short(key):
        raise AdmissionError(
            f"Job key {keys.canonical(key)} is too long: role, environment and name may have {keys.MAX_KEY_LENGTH} "
            "characters together, since task ids become names of files."
        )


def _with_tier(config: TaskConfig, tiers: Tiers) -> TaskConfig:
    name = config.tier
    if name is None:
        name = tiers.default
    elif not keys.is_identifier(name):
        raise AdmissionError(f"Tier contains illegal characters: {name}")
    tier = tiers.by_name.get(name)
    if tier is None:
        raise AdmissionError(f"Invalid tier '{name}' in TaskConfig.")
    return msgspec.structs.replace(config, tier=name, production=tier.production)


def _check_executor(config: TaskConfig, limits: AdmissionLimits) -> None:
    executor = config.executor_config
    if executor is None:
        if config.container.docker is None:
            raise AdmissionError("Configuration may not be null.")
        return
    if executor.name is None:
        raise AdmissionError("Executor name may not be left unset.")
    if executor.name not in limits.executors:
        raise AdmissionError(f"Configuration for executor '{executor.name}' doesn't exist.")


def _check_constraints(config: TaskConfig) -> None:
    if any(not constraint.name for constraint in config.constraints):
        raise AdmissionError("A constraint must have a name.", ResponseCode.ERROR)
    for constraint in config.constraints:
        if constraint.name == DEDICATED:
            _check_dedicated(constraint, config.job.role)


def _check_dedicated(constraint: Constraint, role: str) -> None:
    value = constraint.constraint.value if constraint.constraint is not None else None
    if value is None:
        raise AdmissionError("A dedicated constraint must be of value type.")
    if len(value.values) != 1:
        raise AdmissionError("A dedicated constraint must have exactly one value")
    (only,) = value.values
    owner = only.partition("/")[0]
    if owner not in ("*", role):
        raise AdmissionError(f"Only {owner} may use hosts dedicated for that role.")


def _admitted_container(config: TaskConfig, limits: AdmissionLimits) -> Container:
    container = config.container
    if container.docker is not None:
        container = Container(docker=_admitted_docker(container.docker, config, limits))
    elif container.mesos is None:
        container = Container(mesos=MesosContainer())
    kind = "DOCKER" if container.docker is not None else "MESOS"
    if kind not in limits.allowed_container_types:
        raise AdmissionError(f"This scheduler is not configured to allow the container type {kind}")
    return container


def _admitted_docker(docker: DockerContainer, config: TaskConfig, limits: AdmissionLimits) -> DockerContainer:
    if docker.image is None:
        raise AdmissionError("A container must specify an image.")
    if docker.parameters and not limits.allow_docker_parameters:
        raise AdmissionError("This scheduler is configured to disallow Docker parameters.")
    if config.executor_config is None and limits.require_docker_use_executor:
        raise AdmissionError("This scheduler is configured to require an executor for Docker-based tasks.")
    if docker.parameters:
        return docker
    return msgspec.structs.replace(docker, parameters=limits.default_docker_parameters)


def _check_resources(config: TaskConfig, limits: AdmissionLimits) -> None:
    kinds = Counter(_kind(resource) for resource in config.resources)
    repeated = sorted(name for kind, name in _DISPLAY_NAMES.items() if kinds[kind] > 1)
    if repeated:
        raise AdmissionError(f"Multiple resource values are not supported for {', '.join(repeated)}")
    cpus = sum(resource.num_cpus or 0.0 for resource in config.resources)
    if not (cpus > 0 and math.isfinite(cpus)):
        raise AdmissionError("num_cpus must be greater than 0.0")
    if sum(resource.ram_mb or 0 for resource in config.resources) <= 0:
        raise AdmissionError("ram_mb must be greater than 0.0")
    if sum(resource.disk_mb or 0 for resource in config.resources) <= 0:
        raise AdmissionError("disk_mb must be greater than 0.0")
    for name in _DISPLAY_NAMES:
        if sum(getattr(resource, name) or 0 for resource in config.resources) > _MOST:
            raise AdmissionError(f"{name} must be at most {_MOST}")
    if kinds["num_gpus"] and not limits.allow_gpu_resource:
        raise AdmissionError("GPU resource support is disabled in this cluster.")


def _kind(resource: Resource) -> str:
    """The name of the one member that is set."""
    return next((f.attribute for f in fields_of(Resource) if getattr(resource, f.attribute) is not None), "")


def _default_links(config: TaskConfig) -> frozendict[str, str]:
    ports = {resource.named_port for resource in config.resources}
    return frozendict({name: link for name, link in _DEFAULT_LINKS.items() if name in ports})


def _check_sla(config: TaskConfig, instance_count: int, limits: AdmissionLimits) -> None:
    policy = config.sla_policy
    if policy is None:
        return
    if not (config.production or limits.sla_aware_kill_non_prod):
        raise AdmissionError(f"Tier '{config.tier}' does not support SlaPolicy.")
    if policy.coordinator_sla_policy is not None:
        return
    fewest = limits.min_required_instances_for_sla_check
    if instance_count < fewest:
        raise AdmissionError(f"Job with fewer than {fewest} instances cannot have Percentage/Count SlaPolicy.")
    if policy.count_sla_policy is not None:
        _check_count_policy(policy.count_sla_policy, instance_count, limits)
    if policy.percentage_sla_policy is not None:
        _check_percentage_policy(policy.percentage_sla_policy, instance_count, limits)


def _check_count_policy(policy: CountSlaPolicy, instance_count: int, limits: AdmissionLimits) -> None:
    if instance_count - policy.count < 1:
        raise AdmissionError(
            f"Current CountSlaPolicy: count={policy.count} will not allow any instances to be killed. "
            f"Must be less than instanceCount={instance_count}."
        )
    _check_sla_duration("CountSlaPolicy", policy.duration_secs, limits)


def _check_percentage_policy(policy: PercentageSlaPolicy, instance_count: int, limits: AdmissionLimits) -> None:
    if not instance_count - instance_count * policy.percentage / 100 >= 1:  # so that NaN is refused
        highest = (instance_count - 1) / instance_count * 100
        raise AdmissionError(
            f"Current PercentageSlaPolicy: percentage={policy.percentage:f} will not allow any instances "
            f"to be killed. Must be less than {highest:f}."
        )
    _check_sla_duration("PercentageSlaPolicy", policy.duration_secs, limits)


def _check_sla_duration(policy: str, duration_secs: int, limits: AdmissionLimits) -> None:
    if duration_secs > limits.max_sla_duration_secs:
        raise AdmissionError(
            f"{policy}: durationSecs={duration_secs} must be less than cluster-wide maximum of "
            f"{limits.max_sla_duration_secs} secs."
        )
