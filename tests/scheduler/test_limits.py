from __future__ import annotations

import re
from pathlib import Path

import pytest

from aurorad.api.enums import JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import AssignedTask, DockerParameter, JobConfiguration, JobKey, ScheduledTask, TaskConfig
from aurorad.api.updates import JobUpdate, JobUpdateEvent, JobUpdateKey, JobUpdateSummary
from aurorad.flags import Flags, parse
from aurorad.rules.admission import AdmissionLimits
from aurorad.rules.executors import ExecutorError
from aurorad.rules.resources import ResourceType
from aurorad.rules.tiers import BUILT_IN, Tier, TierError
from aurorad.scheduler.limits import (
    active_update,
    admission_limits,
    configured_executors,
    configured_tiers,
    revocable_types,
    role_usage,
)
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction


@pytest.mark.parametrize(
    ("flags", "types"),
    [
        (Flags(), {ResourceType.CPUS}),
        (Flags(enable_revocable_ram=True), {ResourceType.CPUS, ResourceType.RAM_MB}),
        (Flags(enable_revocable_cpus=False), set()),
    ],
)
def test_what_is_revocable_is_a_matter_of_flags(flags: Flags, types: set[ResourceType]) -> None:
    assert revocable_types(flags) == types


def test_executors_are_those_of_flags_and_file(tmp_path: Path) -> None:
    file = tmp_path / "executors"
    file.write_text('[{"executor": {"name": "mine", "command": {"value": "x"}}, "task_prefix": "mine-"}]')
    settings = configured_executors(Flags(custom_executor_config=file, thermos_executor_ram=64 << 20))
    assert settings.by_name["AuroraExecutor"].overhead == {ResourceType.CPUS: 0.25, ResourceType.RAM_MB: 64}
    assert admission_limits(Flags(), settings).executors == {"AuroraExecutor", "mine"}


@pytest.mark.parametrize(("content", "text"), [(None, "cannot be read: No such file"), ("[{}]", "not a list of exec")])
def test_a_file_of_executors_that_is_of_no_use_is_named(tmp_path: Path, content: str | None, text: str) -> None:
    file = tmp_path / "executors"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ExecutorError) as refused:
        configured_executors(Flags(custom_executor_config=file))
    assert str(refused.value).startswith(f"-custom_executor_config={file}: {text}")


def test_without_flags_the_limits_are_the_documented_ones() -> None:
    assert admission_limits(Flags()) == AdmissionLimits()


def test_every_limit_follows_its_flag() -> None:
    limits = admission_limits(
        parse(
            [
                r"-allowed_job_environments=^(prod|lab\d)$",
                "-max_tasks_per_job=5",
                "-allowed_container_types=MESOS,DOCKER",
                "-allow_docker_parameters=true",
                "-default_docker_parameters=label=a=b,net=host",
                "-require_docker_use_executor=false",
                "-enable_mesos_fetcher=true",
                "-allow_container_volumes=true",
                "-allow_gpu_resource=true",
                "-min_required_instances_for_sla_check=3",
                "-max_sla_duration_secs=60secs",
                "-sla_aware_kill_non_prod=true",
            ]
        )
    )
    assert limits == AdmissionLimits(
        allowed_job_environments=re.compile(r"^(prod|lab\d)$"),
        max_tasks_per_job=5,
        allowed_container_types=frozenset({"MESOS", "DOCKER"}),
        allow_docker_parameters=True,
        default_docker_parameters=(DockerParameter("label", "a=b"), DockerParameter("net", "host")),
        require_docker_use_executor=False,
        enable_mesos_fetcher=True,
        allow_container_volumes=True,
        allow_gpu_resource=True,
        min_required_instances_for_sla_check=3,
        max_sla_duration_secs=60,
        sla_aware_kill_non_prod=True,
    )


def test_tiers_come_from_the_file_that_the_flag_names(tmp_path: Path) -> None:
    assert configured_tiers(Flags()) is BUILT_IN
    file = tmp_path / "tiers.json"
    file.write_text('{"default": "gold", "tiers": {"gold": {}}}')
    assert configured_tiers(Flags(tier_config=file)).by_name == {"gold": Tier()}


@pytest.mark.parametrize(
    ("content", "text"), [(None, "cannot be read: No such file or directory"), ("{}", "Default tier name cannot be")]
)
def test_a_tier_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, text: str) -> None:
    file = tmp_path / "tiers.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(TierError) as refused:
        configured_tiers(Flags(tier_config=file))
    assert str(refused.value).startswith(f"-tier_config={file}: {text}")


def test_what_a_role_runs_is_its_active_tasks_its_cron_templates_and_its_active_updates() -> None:
    mine, theirs, cron = JobKey("www", "prod", "a"), JobKey("ads", "prod", "a"), JobKey("www", "prod", "c")
    tables = Tables()
    tx = Transaction(tables)
    running = {}
    for job in (mine, theirs):
        for number, status in enumerate((ScheduleStatus.RUNNING, ScheduleStatus.FAILED)):
            task = ScheduledTask(AssignedTask(f"{job.role}-{number}", task=TaskConfig(job=job)), status)
            running[job, status] = task
            tx.save_tasks(task)
        for number, update_status in enumerate((JobUpdateStatus.ROLLED_FORWARD, JobUpdateStatus.ROLLING_BACK)):
            key = JobUpdateKey(job, str(number))
            tx.save_job_update(JobUpdate(JobUpdateSummary(key)))
            tx.save_job_update_event(key, JobUpdateEvent(update_status, 1))
    template = JobConfiguration(key=cron)
    tx.save_cron_job(template)
    usage = role_usage(tables, "www")
    assert list(usage.jobs) == [mine]
    assert usage.jobs[mine].configs == {TaskConfig(job=mine): 1}
    assert list(usage.jobs[mine].tasks()) == [running[mine, ScheduleStatus.RUNNING]]
    assert usage.cron_jobs == [template]
    assert {job: update.summary.key.id for job, update in usage.updates.items()} == {mine: "1"}
    active = active_update(tables, mine)
    assert active is not None
    assert active.update.summary.key.id == "1"
    assert active_update(tables, cron) is None
