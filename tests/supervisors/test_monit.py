"""Real monit, with the lines of the original's manual and with the ready files."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.e2e.cluster import REPOSITORY, Cluster, eventually
from tests.supervisors.installed import Installed, Supervised, running_supervisor

FROM_THE_MANUAL = (
    r'if failed port 8081 send "GET /health HTTP/1.0\r\n" expect "OK\n" with timeout 2 seconds for 10 cycles'
)
SUCCESS = "succeeded testing protocol [generic]"
FAILURE = "failed protocol test [generic]"


class Monit:
    """Looks each second."""

    def __init__(self, folder: Path, checks: str) -> None:
        self._log = folder / "monit.log"
        self.file = folder / "monitrc"
        places = "".join(f"set {what} {folder / what}\n" for what in ("pidfile", "idfile", "statefile"))
        self.file.write_text(f"set daemon 1\nset logfile {self._log}\n{places}{checks}\n")
        self.file.chmod(0o600)

    @property
    def command(self) -> tuple[str, ...]:
        return ("monit", "-I", "-v", "-c", str(self.file))

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until the log has it so many times more."""
        times += self.log().count(text)
        eventually(f"monit says {times} times: {text}", lambda: self.log().count(text) >= times, 60)


@contextmanager
def monit(folder: Path, checks: str) -> Iterator[Monit]:
    it = Monit(folder, checks)
    with running_supervisor(it.command, folder):
        yield it


def test_the_lines_of_the_manual_say_that_it_is_fine(folder: Path) -> None:
    it = Cluster(folder)
    it.start()
    try:
        (folder / "pid").write_text(str(it.pid))
        stanza = FROM_THE_MANUAL.replace("8081", it.scheduler.rpartition(":")[2])
        check = f"check process aurora-scheduler with pidfile {folder / 'pid'}\n{stanza}\nthen alert"
        with monit(folder, check) as looking:
            looking.wait_for(SUCCESS, 3)
            assert FAILURE not in looking.log()

            os.kill(it.pid, signal.SIGSTOP)
            looking.wait_for(FAILURE)
            os.kill(it.pid, signal.SIGCONT)
            looking.wait_for(SUCCESS)
    finally:
        assert it.stop() == 0


def test_the_ready_file_has_the_lines_of_the_manual_word_for_word() -> None:
    text = (REPOSITORY / "packaging" / "monit" / "aurora-scheduler").read_text()
    assert f"    {FROM_THE_MANUAL}\n" in text


@pytest.mark.parametrize("name", ["aurora-scheduler", "aurora-observer"])
def test_the_ready_files_are_what_monit_takes(name: str, folder: Path) -> None:
    installed = Installed(folder, name)
    looking = Monit(folder, (REPOSITORY / "packaging" / "monit" / name).read_text())
    subprocess.run(["monit", "-t", "-c", looking.file], check=True, cwd=installed.folder)


class Scheduler(Supervised):
    """A scheduler that monit looks after by its ready file, but sooner."""

    def __init__(self, folder: Path) -> None:
        self.installed = Installed(folder)
        self._pid_file = folder / "aurora-scheduler.pid"
        seconds = ("with timeout 60 seconds", "with timeout 4 seconds"), ("with timeout 40", "with timeout 8")
        sooner = (*seconds, ("for 10 cycles", "for 2 cycles"))
        changes = (*sooner, (" --chuid aurora:aurora", ""))
        checks = self.installed.ready_file("monit/aurora-scheduler", 8081, *changes)
        self.monit = Monit(folder, f"set httpd unixsocket {folder / 'socket'} allow {uuid.uuid4()}:x\n{checks}")

    def pid(self) -> int | None:
        """Of the one that runs."""
        with suppress(OSError, ValueError):
            pid = int(self._pid_file.read_text())
            os.kill(pid, 0)
            return pid
        return None

    def told(self, *words: str) -> None:
        subprocess.run(["monit", "-c", self.monit.file, *words, self.installed.name], check=True)


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Scheduler]:
    with tempfile.TemporaryDirectory(prefix="aurorad-") as name:
        Path(name).chmod(0o755)
        it = Scheduler(Path(name))
        try:
            with running_supervisor(it.monit.command, Path(name)):
                it.well()
                yield it
                it.told("stop")
                eventually("it has ended", lambda: it.pid() is None)
        finally:
            it.installed.end_tasks()


def test_one_that_is_stopped_is_noticed_and_started_again_while_tasks_go_on(scheduler: Scheduler) -> None:
    pid = scheduler.well()
    task = scheduler.installed.start_task()
    os.kill(pid, signal.SIGSTOP)
    scheduler.well_again(pid)
    assert FAILURE in scheduler.monit.log()
    scheduler.monit.wait_for(SUCCESS)
    assert scheduler.installed.task() == task


@pytest.mark.parametrize("path", ["/quitquitquit", "/abortabortabort"])
def test_one_that_ended_on_purpose_is_started_again(scheduler: Scheduler, path: str) -> None:
    pid = scheduler.well()
    with suppress(requests.ConnectionError):
        requests.post(scheduler.installed.scheduler + path, timeout=30)
    scheduler.well_again(pid)


def test_one_that_was_killed_is_started_again(scheduler: Scheduler) -> None:
    pid = scheduler.well()
    os.kill(pid, signal.SIGKILL)
    scheduler.well_again(pid)


def test_a_pid_file_that_names_another_process_is_no_reason_to_end_that_or_not_to_start(scheduler: Scheduler) -> None:
    pid = scheduler.well()
    with subprocess.Popen(["sleep", "600"]) as another:
        os.kill(pid, signal.SIGKILL)
        (scheduler.installed.folder / "aurora-scheduler.pid").write_text(str(another.pid))
        eventually("monit starts one", lambda: scheduler.pid() not in (another.pid, None), 60)
        scheduler.well()
        assert another.poll() is None
        another.kill()
