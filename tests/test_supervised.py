"""A real daemon under somebody who stands in for systemd."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from aurorad.lifecycle import START_AGAIN, WRONG
from tests.e2e.cluster import eventually
from tests.test_notify import Supervisor

REPOSITORY = Path(__file__).parents[1]


class Daemon:
    def __init__(self, folder: Path, process: subprocess.Popen[str], supervisor: Supervisor) -> None:
        self.process, self.supervisor = process, supervisor
        self._log = folder / "log"

    @property
    def log(self) -> str:
        return self._log.read_text()

    def says(self, what: str) -> list[str]:
        """The lines of the next datagram that has `what` among them."""
        while True:
            lines = self.supervisor.hears()
            if what in lines:
                return lines

    def ends(self) -> int:
        return self.process.wait(30)


@contextmanager
def daemon(folder: Path, *flags: str, watchdog_s: float = 60) -> Iterator[Daemon]:
    """Started, but perhaps not ready yet."""
    folder.mkdir(exist_ok=True)
    supervisor = Supervisor(f"{folder}/notify")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NOTIFY_SOCKET": supervisor.address}
    environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
    places = (f"-work_dir={folder}/work", "-http_port=0", "-observer_port=0")
    with closing(supervisor.socket), (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "aurorad.main", *places, *flags],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            text=True,
        )
        try:
            yield Daemon(folder, process, supervisor)
        finally:
            process.kill()
            process.wait()


def test_it_is_ready_when_it_serves_and_tells_of_its_end(tmp_path: Path) -> None:
    with daemon(tmp_path) as it:
        _, status = it.says("READY=1")
        assert status.startswith("STATUS=ACTIVE: leads")
        (url,) = re.findall(r"scheduler: (http://[^/]+)", it.log)
        with urllib.request.urlopen(f"{url}/health") as health:
            assert health.status == 200
        children = subprocess.run(["pgrep", "-P", str(it.process.pid)], capture_output=True, text=True, check=True)
        for child in children.stdout.split():  # the launcher, and so executors
            inherited = Path(f"/proc/{child}/environ").read_bytes()
            assert b"NOTIFY_SOCKET" not in inherited
            assert b"WATCHDOG" not in inherited
        it.process.terminate()
        it.says("STOPPING=1")
        assert it.ends() == 0


def test_a_follower_is_ready_too(tmp_path: Path) -> None:
    others = ("-zk_endpoints=127.0.0.1:1", "-serverset_path=/aurora/scheduler", "-native_log_zk_group_path=/aurora/log")
    own = (f"-native_log_file_path={tmp_path}/log.member", "-native_log_quorum_size=2", "-engine=simulated")
    with daemon(tmp_path, *others, *own) as it:
        _, status = it.says("READY=1")
        assert status.startswith(
            ("STATUS=STORAGE_PREPARED: follows the log; nobody leads", "STATUS=STORAGE_PREPARED: cannot")
        )


def test_one_that_is_stopped_is_not_vouched_for(tmp_path: Path) -> None:
    with daemon(tmp_path, "-engine=simulated", watchdog_s=0.02) as it:
        it.says("READY=1")
        it.says("WATCHDOG=1")
        it.process.send_signal(signal.SIGSTOP)
        stat = Path(f"/proc/{it.process.pid}/stat")
        eventually("it is stopped", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
        it.supervisor.heard()
        with pytest.raises(TimeoutError):
            it.supervisor.hears(within_s=0.5)
        it.process.send_signal(signal.SIGCONT)
        it.says("WATCHDOG=1")


def test_what_the_watchdog_ends_shows_where_it_was(tmp_path: Path) -> None:
    with daemon(tmp_path, "-engine=simulated") as it:
        it.says("READY=1")
        it.process.send_signal(signal.SIGABRT)
        assert it.ends() == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in it.log
        assert "daemon.py" in it.log


def test_told_to_reload_it_reads_again_what_can_be(tmp_path: Path) -> None:
    users = tmp_path / "users.ini"
    users.write_text("[users]\nann = secret\n")
    users.chmod(0o600)
    with daemon(tmp_path, "-engine=simulated", f"-shiro_ini_path={users}") as it:
        it.says("READY=1")
        it.process.send_signal(signal.SIGHUP)
        _, when = it.says("RELOADING=1")
        assert re.fullmatch(r"MONOTONIC_USEC=\d+", when)
        it.says("READY=1")
        eventually("the log says so", lambda: f"{users} was read again" in it.log)  # a thread writes it
        users.write_text("[users\n")
        it.process.send_signal(signal.SIGHUP)
        it.says("RELOADING=1")
        it.says("READY=1")
        eventually("the log says so", lambda: "what was read before stays in force" in it.log)


def test_its_exit_status_says_whether_to_start_it_again(tmp_path: Path) -> None:
    with daemon(tmp_path, "-engine=simulated") as it:
        it.says("READY=1")
        with daemon(tmp_path / "twice", "-engine=simulated", "-engine=local") as wrong:
            assert wrong.ends() == WRONG
            assert "-engine was given twice" in wrong.log
        (port,) = re.findall(r"scheduler: http://[^/]+:(\d+)/", it.log)
        (tmp_path / "flags").write_text(f"-http_port={port}\n")
        with daemon(tmp_path / "late", f"-flagfile={tmp_path}/flags", "-engine=simulated") as late:
            assert "STATUS=cannot listen on " in late.supervisor.hears()[0]
            assert late.ends() == START_AGAIN
        (tmp_path / "tiers").write_text("{}")
        with daemon(tmp_path / "wrong", "-engine=simulated", f"-tier_config={tmp_path}/tiers") as wrong:
            assert wrong.supervisor.hears()[0].startswith("STATUS=")
            assert wrong.ends() == WRONG
