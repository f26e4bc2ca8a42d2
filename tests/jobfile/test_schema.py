"""Defaults, transcribed from the config-schema sheet, sections 5 and 6."""

from __future__ import annotations

from typing import Any

import pytest

from aurorad.jobfile import namespace
from tests.jobfile.evaluating import plain

N: dict[str, Any] = namespace.for_jobs()

HTTP_LIFECYCLE = {
    "port": "health",
    "graceful_shutdown_endpoint": "/quitquitquit",
    "shutdown_endpoint": "/abortabortabort",
    "graceful_shutdown_wait_secs": 5,
    "shutdown_wait_secs": 5,
}
HTTP_CHECKER = {"endpoint": "/health", "expected_response": "ok", "expected_response_code": 0}
HEALTH = {
    "health_checker": {"http": HTTP_CHECKER},
    "initial_interval_secs": 15.0,
    "interval_secs": 10.0,
    "max_consecutive_failures": 0,
    "min_consecutive_successes": 1,
    "timeout_secs": 1.0,
}
UPDATE = {
    "batch_size": 1,
    "watch_secs": 45,
    "max_per_shard_failures": 0,
    "max_total_failures": 0,
    "rollback_on_failure": True,
    "wait_for_batch_completion": False,
    "sla_aware": False,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "Process": {"max_failures": 1, "daemon": False, "ephemeral": False, "min_duration": 5, "final": False},
    "Logger": {"destination": "file", "mode": "standard"},
    "RotatePolicy": {"log_size": 100 * 1024 * 1024, "backups": 5},
    "Resources": {"gpu": 0},
    "Constraint": {},
    "Task": {
        "name": "{{processes[0].name}}",
        "constraints": [],
        "max_failures": 1,
        "max_concurrency": 0,
        "finalization_wait": 30,
    },
    "UpdateConfig": UPDATE,
    "QueueUpdateStrategy": {"batch_size": 1},
    "BatchUpdateStrategy": {"batch_size": 1, "autopause_after_batch": False},
    "VariableBatchUpdateStrategy": {"autopause_after_batch": False},
    "HealthCheckConfig": HEALTH,
    "HttpHealthChecker": HTTP_CHECKER,
    "HttpLifecycleConfig": HTTP_LIFECYCLE,
    "LifecycleConfig": {},
    "Announcer": {"primary_port": "http", "portmap": {"aurora": "{{primary_port}}"}},
    "Docker": {"parameters": []},
    "Mesos": {"volumes": []},
    "PartitionPolicy": {"reschedule": True, "delay_secs": 0},
    "ExecutorConfig": {"name": "AuroraExecutor", "data": ""},
    "CoordinatorSlaPolicy": {"status_key": "drain"},
    "Job": {
        "name": "{{task.name}}",
        "instances": 1,
        "cron_collision_policy": "KILL_EXISTING",
        "update_config": UPDATE,
        "metadata": [],
        "service": False,
        "max_task_failures": 1,
        "production": False,
        "priority": 0,
        "health_check_config": HEALTH,
        "lifecycle": {"http": HTTP_LIFECYCLE},
        "executor_config": {"name": "AuroraExecutor", "data": ""},
        "enable_hooks": False,
    },
    "MesosTaskInstance": {"health_check_config": HEALTH},
}
REQUIRED = {
    "Process": {"name", "cmdline"},
    "Resources": {"cpu", "ram", "disk"},
    "Job": {"role", "cluster", "environment", "task"},
    "MesosTaskInstance": {"task", "instance", "role", "environment"},
    "MesosContext": {"instance", "hostname"},
    "VariableBatchUpdateStrategy": {"batch_sizes"},
    "ShellHealthChecker": {"shell_command"},
    "Docker": {"image"},
    "Parameter": {"name", "value"},
    "AppcImage": {"name", "image_id"},
    "DockerImage": {"name", "tag"},
    "Volume": {"container_path", "host_path", "mode"},
    "Metadata": {"key", "value"},
    "PercentageSlaPolicy": {"percentage", "duration_secs"},
    "CountSlaPolicy": {"count", "duration_secs"},
    "CoordinatorSlaPolicy": {"coordinator_url"},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_unset_fields_have_these_values(name: str) -> None:
    assert plain(N[name]()) == DEFAULTS[name]


@pytest.mark.parametrize("name", REQUIRED)
def test_these_fields_are_required(name: str) -> None:
    fields = N[name].TYPEMAP
    assert {field for field, signature in fields.items() if signature.required} == REQUIRED[name]


def test_a_service_is_a_job_that_may_be_called_like_one() -> None:
    assert N["Service"](name="x").service().get() is True
    assert plain(N["DisableLifecycle"]) == {}
    assert plain(N["DefaultLifecycleConfig"]) == {"http": HTTP_LIFECYCLE}
    assert plain(N["DefaultHealthChecker"]) == {"http": HTTP_CHECKER}


def test_names_come_from_the_task_and_its_first_process() -> None:
    process = N["Process"](name="first", cmdline="x")
    assert N["Job"](task=N["Task"](processes=[process])).name().get() == "first"
