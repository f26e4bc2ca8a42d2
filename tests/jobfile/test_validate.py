from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.jobfile import validate
from aurorad.jobfile.errors import ConfigError, ConfigRefused
from tests.jobfile.evaluating import evaluate, minimal


def check(folder: Path, more: str = "", **parts: str) -> list[str]:
    return validate.check(evaluate(folder, minimal(more, **parts)))


def test_a_plain_job_has_no_warnings(tmp_path: Path) -> None:
    assert check(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "instances = 3, update_config = UpdateConfig(max_total_failures = 3)",
            "max_total_failures in update_config must be lesser than the job size.\n"
            "Based on your job size (3) you should use max_total_failures <= 2.",
        ),
        (
            "instances = 100, constraints = {'dedicated': 'bozo/x'}",
            "Since this is a dedicated job, you must set your max_total_failures in\n"
            "your update configuration to no less than 2% of your job size.\n"
            "Based on your job size (100) you should use max_total_failures >= 2.",
        ),
        (
            "update_config = UpdateConfig(watch_secs = -1)",
            "Invalid value (-1) specified for watch_secs. Value cannot be less than 0.",
        ),
        (
            "health_check_config = HealthCheckConfig(interval_secs = -0.5)",
            "Invalid value (-0.5) specified for interval_secs. Value cannot be less than 0.",
        ),
    ],
)
def test_settings_nobody_can_want_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigRefused) as caught:
        check(tmp_path, text)
    assert str(caught.value) == message


def test_one_instance_without_failures_and_a_small_dedicated_job_are_fine(tmp_path: Path) -> None:
    assert check(tmp_path, "constraints = {'dedicated': 'bozo/x'}") == []


def test_static_ports_need_a_dedicated_job(tmp_path: Path) -> None:
    announce = "announce = Announcer(portmap = {'http': '80'})"
    with pytest.raises(ConfigError, match="Job must be dedicated in order to specify static ports!"):
        check(tmp_path, announce)
    assert check(tmp_path, announce + ", constraints = {'dedicated': 'bozo/x'}") == []


def test_a_static_port_is_a_port(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, "announce = Announcer(portmap = {'http': '73616'}), constraints = {'dedicated': 'bozo/x'}")
    assert str(caught.value) == "Announcer maps http to port 73616: at most 65535 was expected"


def test_an_announced_port_that_nobody_binds_is_warned_of(tmp_path: Path) -> None:
    (warning,) = check(tmp_path, "announce = Announcer(primary_port = 'web')")
    assert warning.startswith("Announcer specified primary port as 'web' but no processes have bound that port.")
    bound = "Process(name = 'x', cmdline = 'x {{thermos.ports[web]}}')"
    assert check(tmp_path, "announce = Announcer(primary_port = 'web')", processes=bound) == []


def test_production_without_tier_is_warned_of(tmp_path: Path) -> None:
    (warning,) = check(tmp_path, "production = True")
    assert "'production' is deprecated" in warning
    assert check(tmp_path, "production = True, tier = 'preferred'") == []


def test_the_old_holder_of_a_container_is_warned_of(tmp_path: Path) -> None:
    (warning,) = check(tmp_path, "container = Container(docker = Docker(image = 'x'))")
    assert warning.endswith("write container = Docker(...)")
    assert check(tmp_path, "container = Docker(image = 'x')") == []
