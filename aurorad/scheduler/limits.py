"""What the rules need to know of the flags, and of what a role runs."""

from __future__ import annotations

import re

from frozendict import frozendict

from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, ACTIVE_STATES, AURORA_EXECUTOR_NAME
from aurorad.api.tasks import DockerParameter, JobKey
from aurorad.api.updates import JobUpdateDetails
from aurorad.flags import Flags
from aurorad.rules import executors, tiers
from aurorad.rules.admission import AdmissionLimits
from aurorad.rules.executors import ExecutorError, ExecutorSettings
from aurorad.rules.quota import Running, Usage
from aurorad.rules.resources import ResourceType, Types
from aurorad.rules.tiers import Tiers
from aurorad.storage.tables import Tables


def admission_limits(flags: Flags, known: ExecutorSettings = executors.BUILT_IN) -> AdmissionLimits:
    """`known` are the executors that tasks may name."""
    return AdmissionLimits(
        allowed_job_environments=re.compile(flags.allowed_job_environments),
        max_tasks_per_job=flags.max_tasks_per_job,
        allowed_container_types=frozenset(flags.allowed_container_types),
        allow_docker_parameters=flags.allow_docker_parameters,
        default_docker_parameters=tuple(
            DockerParameter(*parameter.split("=", 1)) for parameter in flags.default_docker_parameters
        ),
        require_docker_use_executor=flags.require_docker_use_executor,
        enable_mesos_fetcher=flags.enable_mesos_fetcher,
        allow_container_volumes=flags.allow_container_volumes,
        allow_gpu_resource=flags.allow_gpu_resource,
        min_required_instances_for_sla_check=flags.min_required_instances_for_sla_check,
        max_sla_duration_secs=int(flags.max_sla_duration_secs),
        sla_aware_kill_non_prod=flags.sla_aware_kill_non_prod,
        executors=frozenset(known.by_name),
    )


def configured_tiers(flags: Flags) -> Tiers:
    """Those of ``-tier_config``, else the built-in ones. Raises `TierError` that names the file."""
    if flags.tier_config is None:
        return tiers.BUILT_IN
    try:
        return tiers.parse(flags.tier_config.read_bytes())
    except OSError as error:
        raise tiers.TierError(f"-tier_config={flags.tier_config}: cannot be read: {error.strerror}") from None
    except tiers.TierError as error:
        raise tiers.TierError(f"-tier_config={flags.tier_config}: {error}") from None


def configured_executors(flags: Flags) -> ExecutorSettings:
    """The built-in one as the flags say, and those of ``-custom_executor_config``.

    Raises `ExecutorError` that names the file.
    """
    own = executors.built_in(
        flags.thermos_executor_cpu,
        flags.thermos_executor_ram / (1 << 20),
        flags.thermos_executor_path or "",
        flags.thermos_executor_resources,
        flags.thermos_executor_flags,
        flags.thermos_home_in_sandbox,
        tuple(map(executors.volume, flags.global_container_mounts)),
    )
    file = flags.custom_executor_config
    try:
        others = executors.parse(file.read_bytes()) if file is not None else {}
    except OSError as error:
        raise ExecutorError(f"-custom_executor_config={file}: cannot be read: {error.strerror}") from None
    except ExecutorError as error:
        raise ExecutorError(f"-custom_executor_config={file}: {error}") from None
    return ExecutorSettings(frozendict({AURORA_EXECUTOR_NAME: own, **others}))


def revocable_types(flags: Flags) -> Types:
    """Of what tasks of revocable tiers want what may be revoked."""
    wanted = {ResourceType.CPUS: flags.enable_revocable_cpus, ResourceType.RAM_MB: flags.enable_revocable_ram}
    return frozenset(type_ for type_, is_wanted in wanted.items() if is_wanted)


def active_update(tables: Tables, job: JobKey) -> JobUpdateDetails | None:
    """The update that `job` is in the middle of."""
    return next((details for details in tables.job_updates(job) if _is_active(details)), None)


def role_usage(tables: Tables, role: str) -> Usage:
    """All that counts against the quota of `role`."""

    def running(job: JobKey) -> Running:
        return Running(tables.job_configs(job), lambda: tables.job_tasks(job, ACTIVE_STATES))

    return Usage(
        jobs={job: running(job) for job in tables.role_jobs(role) if tables.job_configs(job)},
        cron_jobs=[template for key, template in tables.cron_jobs.items() if key.role == role],
        updates={details.update.summary.key.job: details.update for details in tables.role_updates(role)},
    )


def _is_active(details: JobUpdateDetails) -> bool:
    state = details.update.summary.state
    return state is not None and state.status in ACTIVE_JOB_UPDATE_STATES
