"""Real supervisord, with the ready files."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.e2e.cluster import eventually
from tests.supervisors.installed import Installed, Supervised, running_supervisor
from tests.zookeeper import ZooKeeper

SOONER = (
    ("sleep 10;", "sleep 0.2;"),
    ("--max-time 5 --retry 9 --retry-delay 10", "--max-time 0.5 --retry 8 --retry-delay 1"),
)


class Supervisord(Supervised):
    """Looks after a program by its ready file, but sooner."""

    def __init__(self, folder: Path, name: str, port: int, *, health: bool = True) -> None:
        self.installed = Installed(folder, name)
        text = self.installed.ready_file(f"supervisord/{name}.conf", port, ("user=aurora\n", ""), *SOONER)
        if not health:
            text = text[: text.index(f"[program:{name}-health]")]
        self.folder = folder
        (folder / "supervisord.conf").write_text(
            f"""\
[supervisord]
nodaemon=true
logfile={folder / "supervisord.log"}
pidfile={folder / "supervisord.pid"}
[unix_http_server]
file={folder / "socket"}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{folder / "socket"}
{text}"""
        )

    @property
    def command(self) -> tuple[str, ...]:
        return ("supervisord", "-c", str(self.folder / "supervisord.conf"))

    def ask(self, *words: str) -> str:
        command = ["supervisorctl", *self.command[1:], *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout

    def pid(self) -> int | None:
        pid = self.ask("pid", self.installed.name).strip()
        return int(pid) if pid.isdigit() and pid != "0" else None

    def log(self) -> str:
        log = self.folder / "supervisord.log"
        return log.read_text() if log.exists() else ""


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Supervisord]:
    with tempfile.TemporaryDirectory(prefix="aurorad-") as name:
        Path(name).chmod(0o755)
        it = Supervisord(Path(name), "aurora-scheduler", 8081)
        try:
            with running_supervisor(it.command, Path(name)):
                it.well()
                yield it
        finally:
            it.installed.end_tasks()


def test_one_that_is_stopped_is_noticed_and_started_again_while_tasks_go_on(scheduler: Supervisord) -> None:
    pid = scheduler.well()
    task = scheduler.installed.start_task()
    os.kill(pid, signal.SIGSTOP)
    scheduler.well_again(pid)
    assert scheduler.installed.task() == task


@pytest.mark.parametrize("path", ["/quitquitquit", "/abortabortabort"])
def test_one_that_ended_on_purpose_is_started_again(scheduler: Supervisord, path: str) -> None:
    pid = scheduler.well()
    with suppress(requests.ConnectionError):
        requests.post(scheduler.installed.scheduler + path, timeout=30)
    scheduler.well_again(pid)
    assert "exited: aurora-scheduler (exit status 0; not expected)" in scheduler.log()


def test_one_that_an_operator_stops_stays_so_and_one_that_is_restarted_leaves_its_tasks(scheduler: Supervisord) -> None:
    pid = scheduler.well()
    assert "aurora-scheduler: stopped" in scheduler.ask("stop", "aurora-scheduler")
    refused = scheduler.folder / "aurora-scheduler-health.log"
    size = refused.stat().st_size
    eventually("its health was asked, and that is all", lambda: refused.stat().st_size > size)
    assert scheduler.pid() is None
    processes = scheduler.installed.task_processes()
    assert "aurora-scheduler: started" in scheduler.ask("start", "aurora-scheduler")
    assert scheduler.well_again(pid)
    assert scheduler.installed.task()[1] == processes


def test_what_a_person_must_put_right_is_not_tried_again(folder: Path) -> None:
    it = Supervisord(folder, "aurora-scheduler", 8081, health=False)
    with (folder / "flags").open("a") as flags:
        flags.write("-no_such_flag=1\n")
    with running_supervisor(it.command, folder):
        eventually("it has ended", lambda: "EXITED" in it.ask("status", "aurora-scheduler"))
        assert "exited: aurora-scheduler (exit status 1; expected)" in it.log()
        assert it.log().count("spawned: 'aurora-scheduler'") == 1
    assert "unknown flag" in (folder / "aurora-scheduler.log").read_text()


def test_one_that_led_for_long_enough_is_started_again(folder: Path, zookeeper: ZooKeeper) -> None:
    it = Supervisord(folder, "aurora-scheduler", 8081, health=False)
    with (folder / "flags").open("a") as flags:
        flags.write(
            f"""\
-engine=simulated
-zk_endpoints={zookeeper.address}
-serverset_path=/aurora/scheduler
-native_log_zk_group_path=/aurora/log
-native_log_file_path={folder / "log"}
-native_log_quorum_size=1
-max_leading_duration=1secs
"""
        )
    (folder / "log").mkdir()
    subprocess.run([it.installed.wrapper, "log", "initialize", f"--path={folder / 'log'}"], check=True)
    with running_supervisor(it.command, folder):
        led = "exited: aurora-scheduler (exit status 75; not expected)"
        eventually("it led twice", lambda: it.log().count(led) >= 2, 60)
        assert it.log().count("spawned: 'aurora-scheduler'") >= 2


def test_an_observer_that_was_killed_is_started_again(folder: Path) -> None:
    it = Supervisord(folder, "aurora-observer", 1338)
    with running_supervisor(it.command, folder):
        pid = it.well()
        os.kill(pid, signal.SIGKILL)
        it.well_again(pid)
