"""The units of systemd, as systemd itself judges them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from aurorad.lifecycle import WRONG

PACKAGING = Path(__file__).parents[2] / "packaging"
UNITS = {"aurora-scheduler": 2.5, "aurora-observer": 3.0, "aurora-single": 8.5}
"""And how exposed each may be, of 10. Tasks of a single machine need all that their users have."""

TO_COME = ("DelegateSubgroup",)
"""Settings that systemd knows since 254, and ignores before."""


def settings(name: str) -> list[tuple[str, str]]:
    lines = (PACKAGING / "systemd" / f"{name}.service").read_text().splitlines()
    return [(line.partition("=")[0], line.partition("=")[2]) for line in lines if "=" in line and line[0] != "#"]


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_every_line(name: str, tmp_path: Path) -> None:
    text = (PACKAGING / "systemd" / f"{name}.service").read_text()
    unit = tmp_path / f"{name}.service"
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={program}", text))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    about_us = [line for line in said if f"{name}.service" in line]
    assert [line for line in about_us if not any(f"'{key}'" in line for key in TO_COME)] == []


@pytest.mark.parametrize(("name", "most"), UNITS.items())
def test_a_unit_takes_away_what_is_not_needed(name: str, most: float) -> None:
    unit = str(PACKAGING / "systemd" / f"{name}.service")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={most * 10:.0f}", "--no-pager", unit]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    assert judged.returncode == 0, judged.stdout[-300:]


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_what_is_installed_and_restarts_it_but_after_mistakes(name: str) -> None:
    given = dict(settings(name))
    assert given["ExecStart"] == f"/usr/sbin/{name}"
    assert (PACKAGING / "bin" / name).is_file()
    assert (given["Type"], given["NotifyAccess"], given["Restart"]) == ("notify", "main", "on-failure")
    assert given["RestartPreventExitStatus"] == str(WRONG)
    assert int(given["WatchdogSec"]) > 0
    assert given["ExecReload"] == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("name", ["aurora-scheduler", "aurora-single"])
def test_tasks_outlive_the_service(name: str) -> None:
    given = dict(settings(name))
    assert given["KillMode"] == "process"
    assert "PrivateTmp" not in given  # it would be emptied under them
    assert "PrivateUsers" not in given  # the next start could not look at their executors
    assert given["OOMPolicy"] == "continue"
