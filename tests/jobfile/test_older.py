"""Files of Aurora 0.5 to 0.13 (config-schema sheet, section 17)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aurorad.jobfile import loader
from aurorad.jobfile.errors import ConfigError
from tests.jobfile.evaluating import evaluate, load, minimal

OLD = [
    ("daemon = True", "service = True", "Job(daemon = ...)", "write service = ..."),
    (
        "cron_policy = 'CANCEL_NEW'",
        "cron_collision_policy = 'CANCEL_NEW'",
        "Job(cron_policy = ...)",
        "write cron_collision_policy = ...",
    ),
    (
        "health_check_interval_secs = 7",
        "health_check_config = HealthCheckConfig(interval_secs = 7)",
        "Job(health_check_interval_secs = ...)",
        "write health_check_config = HealthCheckConfig(interval_secs = ...)",
    ),
    (
        "update_config = UpdateConfig(restart_threshold = 60, batch_size = 2)",
        "update_config = UpdateConfig(batch_size = 2)",
        "UpdateConfig(restart_threshold = ...)",
        "it has had no effect since Aurora 0.11, leave it out",
    ),
    (
        "update_config = {'restart_threshold': 60}",
        "update_config = UpdateConfig()",
        "UpdateConfig(restart_threshold = ...)",
        "it has had no effect since Aurora 0.11, leave it out",
    ),
    (
        "health_check_config = HealthCheckConfig(endpoint = '/ok')",
        "health_check_config = HealthCheckConfig("
        "health_checker = HealthCheckerConfig(http = HttpHealthChecker(endpoint = '/ok')))",
        "HealthCheckConfig(endpoint = ...)",
        "write health_checker = HealthCheckerConfig(http = HttpHealthChecker(endpoint = ...))",
    ),
    (
        "lifecycle = LifecycleConfig(http = HTTPLifecycleConfig(port = 'admin'))",
        "lifecycle = LifecycleConfig(http = HttpLifecycleConfig(port = 'admin'))",
        "HTTPLifecycleConfig",
        "write HttpLifecycleConfig",
    ),
]


def executor_data(folder: Path, more: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(evaluate(folder, minimal(more)).source.get()))
    return found


@pytest.mark.parametrize(("old", "new", "what", "advice"), OLD)
def test_an_old_spelling_means_the_new_one_and_is_told_of(
    tmp_path: Path, old: str, new: str, what: str, advice: str
) -> None:
    assert executor_data(tmp_path, old) == executor_data(tmp_path, new)
    assert load(tmp_path, minimal(old)).warnings == (
        f"{tmp_path}/job.aurora:{3 if 'Config(' in old else 2}: {what} is from an older version: {advice}",
    )
    assert load(tmp_path, minimal(new)).warnings == ()


def test_the_flat_health_check_has_all_its_fields(tmp_path: Path) -> None:
    text = "HealthCheckConfig(endpoint = '/x', expected_response = '', expected_response_code = 200, timeout_secs = 3)"
    config = executor_data(tmp_path, f"health_check_config = {text}")["health_check_config"]
    assert config["timeout_secs"] == 3.0
    assert config["health_checker"] == {
        "http": {"endpoint": "/x", "expected_response": "", "expected_response_code": 200}
    }


def test_an_old_field_may_be_changed_in_a_copy(tmp_path: Path) -> None:
    text = minimal("daemon = True") + "jobs = [jobs[0](daemon = False)]"
    assert evaluate(tmp_path, text).job.service is False


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("daemon = True, service = True", "ValueError: Specified both daemon and service bits!"),
        (
            "cron_policy = 'CANCEL_NEW', cron_collision_policy = 'CANCEL_NEW'",
            "Specified both cron_policy and cron_collision_policy!",
        ),
        ("env = 'prod'", "Specified both env and environment!"),
        (
            "health_check_interval_secs = 1, health_check_config = HealthCheckConfig()",
            "Specified both health_check_interval_secs and health_check_config!",
        ),
        (
            "health_check_config = HealthCheckConfig(endpoint = '/', health_checker = DefaultHealthChecker)",
            "Specified both endpoint and health_checker!",
        ),
        ("recipes = ['x']", "recipes was a packaging helper of early Aurora and is gone: fetch the package in"),
        ("contact = PackerObject(name = 'x')", "PackerObject was a packaging helper of early Aurora"),
    ],
)
def test_what_cannot_be_mapped_is_told(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, minimal(more))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/job.aurora:")


def test_a_package_of_the_packer_is_told(tmp_path: Path) -> None:
    text = minimal(processes="Process(name = 'x', cmdline = '{{packer[me][app][live].copy_command}} && x')")
    with pytest.raises(ConfigError) as caught:
        evaluate(tmp_path, text)
    assert str(caught.value).startswith(
        "Config contains unbound variables: {{packer[me][app][live].copy_command}} "
        f"(Process at {tmp_path}/job.aurora:4, task.processes[0].cmdline): packer was a packaging helper"
    )


def test_each_old_spelling_is_told_of_once(tmp_path: Path) -> None:
    text = "jobs = [Job(daemon = True) for _ in range(3)]\nJob(daemon = False)"
    (warning,) = load(tmp_path, text).warnings
    assert warning.startswith(f"{tmp_path}/job.aurora:1: ")


def test_json_of_older_versions_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"daemon": True, "update_config": {"restart_threshold": 3, "watch_secs": 4}}))
    found = loader.load_json(file)
    assert found.jobs[0].service().get() is True
    assert found.jobs[0].update_config().watch_secs().get() == 4
    assert len(found.warnings) == 2
    assert found.warnings[0] == f"{file}: Job(daemon = ...) is from an older version: write service = ..."


def test_a_struct_of_the_authors_may_have_fields_called_so(tmp_path: Path) -> None:
    text = "class UpdateConfig(Struct):\n    restart_threshold = Integer\nx = UpdateConfig(restart_threshold = 3)"
    assert load(tmp_path, text + "\nassert x.restart_threshold().get() == 3").warnings == ()
