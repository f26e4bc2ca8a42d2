"""What the rules need to know of the flags, and of what a role runs."""

from __future__ import annotations

import re

from aurorad.api.enums import ACTIVE_JOB_UPDATE_STATES, ACTIVE_STATES
from aurorad.api.tasks import DockerParameter, JobKey
from aurorad.api.updates import JobUpdateDetails
from aurorad.flags import Flags
from aurorad.rules import tiers
from aurorad.rules.admission import AdmissionLimits
from aurorad.rules.quota import Usage
from aurorad.rules.tiers import Tiers
from aurorad.storage.tables import Tables


def admission_limits(flags: Flags) -> AdmissionLimits:
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


def active_update(tables: Tables, job: JobKey) -> JobUpdateDetails | None:
    """The update that `job` is in the middle of."""
    return next((details for details in tables.job_updates(job) if _is_active(details)), None)


def role_usage(tables: Tables, role: str) -> Usage:
    """All that counts against the quota of `role`."""
    jobs = tables.role_jobs(role)
    return Usage(
        tasks={job: tables.job_tasks(job, ACTIVE_STATES) for job in jobs},
        cron_jobs=[template for key, template in tables.cron_jobs.items() if key.role == role],
        updates={
            key.job: details.update
            for key, details in tables.updates.items()
            if key.job.role == role and _is_active(details)
        },
    )


def _is_active(details: JobUpdateDetails) -> bool:
    state = details.update.summary.state
    return state is not None and state.status in ACTIVE_JOB_UPDATE_STATES
