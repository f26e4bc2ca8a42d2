"""Who stands between an agent and its executor, with an executor that only pretends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executor.harness import alive, wait_until

REPOSITORY = Path(__file__).parents[2]
DAEMON = """
import os, signal, subprocess, sys, time
from pathlib import Path
from executor.guardian import guarded

def run():
    script = "sleep 1000 & echo $! > daemon.new; mv daemon.new daemon; exec sleep 1000"
    subprocess.Popen(["setsid", "sh", "-c", script], env={})
    Path("executor").write_text(str(os.getpid()))
    while not Path("daemon").exists():
        time.sleep(0.01)
    HOW
    return STATUS

sys.exit(guarded(run, os.environ))
"""


def guard(directory: Path, how: str, status: int = 0, *, by_an_agent: bool = True) -> subprocess.Popen[bytes]:
    script = DAEMON.replace("HOW", how).replace("STATUS", str(status))
    agents = {"MESOS_DIRECTORY": str(directory)} if by_an_agent else {}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **agents}
    return subprocess.Popen([sys.executable, "-c", script], cwd=directory, env=environment)


def pid_in(file: Path) -> int:
    wait_until(lambda: file.exists() and file.read_text() != "", f"somebody writes {file.name}")
    return int(file.read_text())


@pytest.mark.parametrize(("how", "status", "told"), [("os.kill(os.getpid(), signal.SIGKILL)", 0, 137), ("pass", 1, 1)])
def test_nothing_of_a_task_outlives_an_executor_that_failed(tmp_path: Path, how: str, status: int, told: int) -> None:
    with guard(tmp_path, how, status) as guardian:
        assert guardian.wait(60) == told
    assert not alive(pid_in(tmp_path / "daemon"))


def test_what_an_executor_leaves_on_purpose_is_left(tmp_path: Path) -> None:
    with guard(tmp_path, "pass") as guardian:
        assert guardian.wait(60) == 0
    daemon = pid_in(tmp_path / "daemon")
    assert alive(daemon)
    os.killpg(os.getpgid(daemon), 9)


@pytest.mark.parametrize("whom", ["guardian", "executor"])
def test_whoever_of_the_two_is_told_to_end_both_do(tmp_path: Path, whom: str) -> None:
    how = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); Path('ready').touch(); time.sleep(60)"
    with guard(tmp_path, how) as guardian:
        wait_until((tmp_path / "ready").exists, "the executor waits")
        os.kill(guardian.pid if whom == "guardian" else pid_in(tmp_path / "executor"), 15)
        assert guardian.wait(60) == 7
    assert not alive(pid_in(tmp_path / "daemon"))


def test_an_executor_without_its_guardian_is_told_to_end(tmp_path: Path) -> None:
    how = "signal.signal(signal.SIGTERM, lambda *_: Path('told').touch()); Path('ready').touch(); time.sleep(5)"
    with guard(tmp_path, how) as guardian:
        wait_until((tmp_path / "ready").exists, "the executor waits")
        guardian.kill()
    wait_until((tmp_path / "told").exists, "the executor is told")
    os.killpg(os.getpgid(pid_in(tmp_path / "daemon")), 9)


def test_nobody_guards_who_was_not_started_by_an_agent(tmp_path: Path) -> None:
    with guard(tmp_path, "pass", by_an_agent=False) as alone:
        assert alone.wait(60) == 0
    assert pid_in(tmp_path / "executor") == alone.pid
    os.killpg(os.getpgid(pid_in(tmp_path / "daemon")), 9)
