"""Schedulers and their ZooKeepers, each on a machine of its own, and supervisors that start schedulers again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

from aurorad.lifecycle import START_AGAIN
from tests.cluster.network import Machine, Network, network
from tests.e2e.cluster import REPOSITORY, eventually
from tests.zookeeper import ZooKeeper

HTTP_PORT = 8081
LOG_PORT = 8083
ZOOKEEPER_PORTS = (2181, 2888, 3888)
SESSION_S = 4
PATIENCE_S = 60.0


class Scheduler:
    """`start` begins a supervisor, that starts the process again whenever it asks for it, or was killed."""

    def __init__(self, name: str, machine: Machine, folder: Path, disk: Path, flags: Sequence[str]) -> None:
        self.name = name
        self.machine = machine
        self.folder = folder
        self.disk = disk
        """Where all is that it must not lose."""
        self.disk.mkdir(parents=True, exist_ok=True)
        self.log_folder = self.disk / "log"
        self.database = self.disk / "work" / "state.db"
        self.url = f"http://{machine.address}:{HTTP_PORT}"
        self.flags = list(flags)
        self.endings: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._told = threading.Event()
        self._supervisor: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        assert not self.supervised, f"{self.name} is there already"
        self._told.clear()
        self._supervisor = threading.Thread(target=self._supervise, name=f"supervisor of {self.name}", daemon=True)
        self._supervisor.start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """And do not start it again."""
        self._told.set()
        self.signal(how)
        self.wait()

    def set(self, flag: str, value: object) -> None:
        """For its next start; None is no such flag."""
        self.flags = [given for given in self.flags if given.partition("=")[0] != f"-{flag}"]
        if value is not None:
            self.flags.append(f"-{flag}={value}")

    def wait(self) -> None:
        """Until it has ended for good."""
        if self._supervisor is not None:
            self._supervisor.join(PATIENCE_S)
            assert not self._supervisor.is_alive(), f"{self.name} does not end:\n{self.tail()}"
            self._supervisor = None

    def kill(self) -> None:
        """As by the kernel; the supervisor starts it again."""
        self.signal(signal.SIGKILL)

    def signal(self, which: signal.Signals) -> None:
        with self._lock:
            if self._process is not None:
                self._process.send_signal(which)

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def supervised(self) -> bool:
        """It runs, or will again in a moment."""
        return self._supervisor is not None and self._supervisor.is_alive()

    def leads(self, timeout_s: float = 1.0) -> bool:
        return self.status_of("/leaderhealth", timeout_s) == 200

    def status_of(self, path: str, timeout_s: float = 5.0) -> int:
        """0 if there is no answer."""
        try:
            return requests.get(self.url + path, timeout=timeout_s, allow_redirects=False).status_code
        except requests.RequestException:
            return 0

    def get(self, path: str) -> str:
        with suppress(requests.RequestException):
            return requests.get(self.url + path, timeout=5, allow_redirects=False).text
        return ""

    def variables(self) -> Mapping[str, object]:
        """None of them while there is no answer."""
        text = self.get("/vars.json")
        values: Mapping[str, object] = json.loads(text) if text.startswith("{") else {}
        return values

    @property
    def follows(self) -> bool:
        """It has all of its log, votes, and is ready to lead."""
        values = self.variables()
        return values.get("log/recovered") == 1 and values.get("scheduler_lifecycle_STORAGE_PREPARED") == 1

    def is_fit(self) -> bool:
        return self.variables().get("scheduler_fit_to_lead") == 1

    def written(self) -> str:
        """What its processes have said."""
        return (self.folder / "output").read_text()

    def tail(self) -> str:
        return "\n".join(self.written().splitlines()[-60:])

    def _supervise(self) -> None:
        while not self._told.is_set():
            with self._lock:
                self._process = self._popen()
            status = self._process.wait()
            with self._lock:
                self._process = None
            self.endings.append(status)
            if status not in (START_AGAIN, -signal.SIGKILL):
                return
            self._told.wait(0.2)

    def _popen(self) -> subprocess.Popen[bytes]:
        command = [*self.machine.enter, "setpriv", "--pdeathsig", "KILL"]
        command += [sys.executable, "-m", "aurorad.main", *self.flags]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
            )


class Site:
    """`count` schedulers, one ZooKeeper or three, and what connects them."""

    def __init__(
        self,
        network: Network,
        folder: Path,
        *flags: str,
        count: int = 3,
        zookeepers: int = 3,
        disks: Sequence[Path] = (),
    ) -> None:
        self.network = network
        self._folder = folder
        self._flags = flags
        self.zookeeper_machines = [network.machine() for _ in range(zookeepers)]
        self.zookeepers = self._ensemble()
        self.schedulers: list[Scheduler] = []
        for n in range(count):
            self.add(disk=disks[n] if disks else None)

    def add(self, *flags: str, disk: Path | None = None) -> Scheduler:
        """One more, with an empty disk; it is not started."""
        name = "abcde"[len(self.schedulers)]
        machine = self.network.machine()
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        disk = disk or folder / "disk"
        own = [
            f"-hostname={machine.address}",
            f"-ip={machine.address}",
            f"-http_port={HTTP_PORT}",
            f"-native_log_port={LOG_PORT}",
            "-observer_port=0",
            f"-work_dir={disk / 'work'}",
            f"-native_log_file_path={disk / 'log'}",
            "-native_log_quorum_size=2",
            "-native_log_zk_group_path=/aurora/log",
            "-serverset_path=/aurora/scheduler",
            f"-zk_endpoints={','.join(server.address for server in self.zookeepers)}",
            f"-zk_session_timeout={SESSION_S}secs",
            "-engine=simulated",
            "-simulated_hosts=20",
            *self._flags,
            *flags,
        ]
        self.schedulers.append(Scheduler(name, machine, folder, disk, own))
        return self.schedulers[-1]

    def start(self) -> None:
        """ZooKeepers, and the schedulers that do not run."""
        for zookeeper in self.zookeepers:
            if not zookeeper.runs:
                zookeeper.launch()
        for zookeeper in self.zookeepers:
            zookeeper.wait()
        for scheduler in self.schedulers:
            if not scheduler.supervised:
                scheduler.start()

    def stop(self) -> None:
        """Whatever state they are in."""
        self.network.heal()
        for scheduler in self.schedulers:
            scheduler.stop(signal.SIGKILL)
        for zookeeper in self.zookeepers:
            zookeeper.stop()

    def leading(self) -> Scheduler | None:
        return next((one for one in self.schedulers if one.runs and one.leads()), None)

    def leader(self, within_s: float = PATIENCE_S) -> Scheduler:
        """As soon as there is one."""
        try:
            return eventually("one of them leads", self.leading, within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.tails()}") from None

    def followers(self) -> list[Scheduler]:
        leader = self.leader()
        return [one for one in self.schedulers if one is not leader]

    def have_lead(self, one: Scheduler) -> None:
        """Others that lead are told to end, and started again."""
        while (leader := self.leader()) is not one:
            leader.stop()
            self.leader()
            leader.start()
            self.settle()

    def settle(self, within_s: float = PATIENCE_S) -> Scheduler:
        """Until one leads and all the others follow it, with all that it has."""

        def settled() -> Scheduler | None:
            leader = self.leading()
            if leader is None:
                return None
            others = [one for one in self.schedulers if one is not leader]
            if not all(one.follows for one in others):
                return None
            end = leader.variables().get("scheduler_log_native_learned")
            caught_up = end is not None and all(_position(one) >= _number(end) for one in others)
            return leader if caught_up else None

        try:
            return eventually("one leads, and the others follow", settled, within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.tails()}") from None

    def quiet(self) -> None:
        """Until all databases are where the log is."""

        def same() -> bool:
            positions = {str(one.variables().get("scheduler_log_native_learned")) for one in self.schedulers}
            lags = {str(one.variables().get("storage_database_lag")) for one in self.schedulers}
            return len(positions) == 1 and lags == {"0"}

        self.settle()
        eventually("all databases are up to date", same, PATIENCE_S)

    def tails(self) -> str:
        return "\n".join(f"--- {one.name}, endings {one.endings}:\n{one.tail()}" for one in self.schedulers)

    def _ensemble(self) -> list[ZooKeeper]:
        client_port, quorum_port, election_port = ZOOKEEPER_PORTS
        lines = [
            f"server.{n}={machine.address}:{quorum_port}:{election_port}\n"
            for n, machine in enumerate(self.zookeeper_machines, 1)
        ]
        if len(lines) == 1:
            lines = []  # it is alone
        servers = []
        for n, machine in enumerate(self.zookeeper_machines, 1):
            folder = self._folder / f"zookeeper-{n}"
            (folder / "data").mkdir(parents=True)
            (folder / "data" / "myid").write_text(f"{n}\n")
            servers.append(ZooKeeper(folder, client_port, "".join(lines), host=machine.address, enter=machine.enter))
        return servers


def _position(scheduler: Scheduler) -> int:
    return _number(scheduler.variables().get("scheduler_log_native_learned", -1))


def _number(value: object) -> int:
    return int(str(value))


@contextmanager
def site(folder: Path, *flags: str, count: int = 3, zookeepers: int = 3, disks: Sequence[Path] = ()) -> Iterator[Site]:
    """Not started."""
    with network() as wires:
        it = Site(wires, folder, *flags, count=count, zookeepers=zookeepers, disks=disks)
        try:
            yield it
        finally:
            it.stop()
