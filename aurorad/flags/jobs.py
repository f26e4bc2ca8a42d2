"""What jobs may ask for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from aurorad.flag_parsing import Duration, declare, positive
from aurorad.flags import checks as check

_JOBS = "Job validation"


@dataclasses.dataclass(frozen=True)
class JobFlags:
    max_tasks_per_job: int = declare(4000, _JOBS, "Most instances of one job", positive)
    max_update_instance_failures: int = declare(20000, _JOBS, "Most instance failures one update may allow", positive)
    allowed_job_environments: str = declare(
        r"^(prod|devel|test|staging\d*)$", _JOBS, "Environment names (regex, whole match)", check.regex
    )
    tier_config: Path | None = declare(None, _JOBS, "JSON file of tiers; unset = the built-in ones")
    allowed_container_types: tuple[str, ...] = declare(("MESOS",), _JOBS, "Kinds of container", check.container_types)
    allow_docker_parameters: bool = declare(False, _JOBS, "Jobs may give docker parameters")
    default_docker_parameters: tuple[str, ...] = declare(
        (), _JOBS, "Docker parameters of jobs that give none, name=value each", check.docker_parameters
    )
    require_docker_use_executor: bool = declare(True, _JOBS, "Docker tasks need an executor")
    enable_mesos_fetcher: bool = declare(False, _JOBS, "Jobs may have URIs fetched")
    allow_container_volumes: bool = declare(False, _JOBS, "Jobs may mount volumes into Mesos containers")
    allow_gpu_resource: bool = declare(False, _JOBS, "Jobs may ask for GPUs")
    min_required_instances_for_sla_check: int = declare(20, _JOBS, "Fewest instances with an SLA policy", positive)
    max_sla_duration_secs: Duration = declare(7200.0, _JOBS, "Longest duration of an SLA policy", positive)
    sla_aware_kill_non_prod: bool = declare(False, _JOBS, "SLA policies for non-production tiers too")
