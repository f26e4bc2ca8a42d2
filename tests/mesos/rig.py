"""A real Mesos cluster on this machine: the rig beside the repository, started for tests and stopped with them.

`MESOS_RIG` says where the rig's command is; unset, it is looked for in ``../shared/rigs/mesos`` beside the repository.
What it installs is kept in `MESOS_RIG_HOME`, or in a temporary folder that every user may enter.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from tests.e2e.cluster import REPOSITORY, eventually

SignalName = Literal["KILL", "TERM", "USR1", "STOP", "CONT"]

QUICK = (
    "--master-flag=allocation_interval=100ms",
    "--master-flag=zk_session_timeout=3secs",
    "--agent-flag=executor_registration_timeout=30secs",
    "--agent-flag=executor_shutdown_grace_period=2secs",
)
GIVEN_UP_SOON = ("--master-flag=agent_ping_timeout=1secs", "--master-flag=max_agent_ping_timeouts=3")
"""Agents that are gone are unreachable after 3 to 4 s, and not after 75."""
HOSTNAMES = "127.0.1.%d"
"""What agents call themselves: each its own address of this machine, so that each can have its own observer."""


class Agent(NamedTuple):
    """A worker machine. `work_dir` is what an observer there is told as ``-mesos_root``."""

    name: str
    hostname: str
    address: str
    work_dir: Path

    def executors(self) -> int:
        """How many are subscribed to it."""
        return int(metrics(self.address)["slave/executors_running"])

    def processes(self) -> list[int]:
        """All that work in its sandboxes, and so executors, those who help them and tasks."""
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with suppress(OSError):
                    if (process / "cwd").readlink().is_relative_to(self.work_dir):
                        found.append(int(process.name))
        return found

    def kill_processes(self) -> None:
        """At once, and until there are none."""
        while pids := self.processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def why_not() -> str | None:
    """What is missing for a Mesos to test against."""
    path = _command()
    return None if os.access(path, os.X_OK) else f"there is no {path}; MESOS_RIG tells where mesos-rig is"


def command() -> Path:
    """The rig's. Where there is none the test fails on a CI machine, and is left out elsewhere."""
    why = why_not()
    if why is not None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no Mesos to test against: {why}")
    return _command()


def _command() -> Path:
    given = os.environ.get("MESOS_RIG")
    return Path(given) if given else REPOSITORY.parent / "shared/rigs/mesos/mesos-rig"


def environment() -> Mapping[str, str]:
    """Of the rig's command."""
    home = os.environ.get("MESOS_RIG_HOME")
    if home is None:
        folder = Path(tempfile.gettempdir()) / f"mesos-rig-{os.getuid()}"
        folder.mkdir(mode=0o755, exist_ok=True)
        assert folder.stat().st_uid == os.getuid(), f"{folder} is somebody else's"
        home = str(folder)
    return {**os.environ, "MESOS_RIG_HOME": home}


def install(*options: str) -> None:
    """What the rig needs, unless it is there already."""
    _run([str(command()), "install", *options], 300)


def metrics(address: str) -> Mapping[str, float]:
    """Of a master or an agent."""
    with urllib.request.urlopen(f"http://{address}/metrics/snapshot", timeout=30) as answer:
        values: Mapping[str, float] = json.load(answer)
        return values


class Rig:
    """Started masters and agents. Parts are called ``master`` (or ``master0``...), ``agent0``... and ``zookeeper``."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._addresses: dict[str, str] = {}
        self._zk: str | None = None

    def address(self, part: str) -> str:
        """``host:port``."""
        return self._addresses[part]

    @property
    def master(self) -> str:
        """What `-mesos_master_address` takes: ZooKeeper's where there is one, else the only master's."""
        return self._zk or self.address("master")

    @property
    def zookeeper(self) -> str:
        return self.address("zookeeper")

    def leader(self) -> str:
        """The address of the master that leads, as soon as there is one."""
        return eventually("a master leads", self._leader, within_s=60)

    def leading_part(self) -> str:
        leader = self.leader()
        return next(name for name, address in self._addresses.items() if address == leader)

    def _leader(self) -> str | None:
        for name, address in self._addresses.items():
            if name.startswith("master"):
                with suppress(OSError):
                    if metrics(address)["master/elected"] == 1:
                        return address
        return None

    def active_agents(self) -> int:
        return int(metrics(self.leader())["master/slaves_active"])

    @property
    def agents(self) -> Sequence[Agent]:
        return [
            Agent(name, HOSTNAMES.replace("%d", name.removeprefix("agent")), address, self.folder / name / "work")
            for name, address in self._addresses.items()
            if name.startswith("agent")
        ]

    def kill(self, part: str, by: SignalName = "KILL") -> None:
        self._do("kill", part, f"--signal={by}")

    def revive(self, part: str, *options: str) -> None:
        self._do("revive", part, *options)

    def state(self) -> dict[str, object]:
        """The leading master's, whole."""
        state: dict[str, object] = json.loads(self.get("/state"))
        return state

    def get(self, path: str) -> bytes:
        """A page of the leading master."""
        with urllib.request.urlopen(f"http://{self.leader()}{path}", timeout=30) as answer:
            text: bytes = answer.read()
            return text

    def call(self, what: Mapping[str, object]) -> bytes:
        """Of the leading master's operator API."""
        request = urllib.request.Request(
            f"http://{self.leader()}/api/v1",
            data=json.dumps(what).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text: bytes = answer.read()
            return text

    def frameworks(self) -> list[str]:
        """The ids of those that are registered, connected or not."""
        return [framework["id"] for framework in json.loads(self.get("/frameworks"))["frameworks"]]

    def tear_down_frameworks(self) -> None:
        """As an operator would who wants nothing of them any more; returns when none of their processes is left."""
        for framework_id in self.frameworks():
            form = urllib.parse.urlencode({"frameworkId": framework_id}).encode()
            with suppress(urllib.error.HTTPError):  # it went meanwhile
                urllib.request.urlopen(f"http://{self.leader()}/master/teardown", data=form, timeout=30).close()
        eventually("no executor is left", lambda: not any(agent.processes() for agent in self.agents), within_s=60)

    def logs(self) -> str:
        """The last of what each part has to say."""
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-40:])
            for log in sorted(self.folder.glob("*.log"))
        )

    def _begin(self, *options: str) -> None:
        work = ("--work-dir", str(self.folder), "--free-ports", "--hostname", HOSTNAMES, "--ports", _task_ports())
        self._do("start", *work, *QUICK, *options)
        status = json.loads(self._do("status", "--json"))
        self._addresses.update({part["name"]: part["address"] for part in status["processes"]})
        self._zk = status["zk"]

    def _do(self, *arguments: str) -> str:
        return _run([str(command()), "--name", self.name, *arguments], 180)


@contextmanager
def rig(*options: str) -> Iterator[Rig]:
    """A cluster with these options of ``mesos-rig start`` besides the quick ones. Nothing of it is left behind.

    It is stopped by a process that waits for the end of ours, however that comes.
    """
    env = environment()
    with tempfile.TemporaryDirectory(prefix="aurorad-mesos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # tasks run as their role's users
        it = Rig(Path(folder).name, Path(folder))
        stop = 'cat >/dev/null; exec "$0" --name "$1" stop --delete 2>/dev/null'
        stopper = subprocess.Popen(
            ["sh", "-c", stop, command(), it.name], stdin=subprocess.PIPE, env=env, start_new_session=True
        )
        try:
            it._begin(*options)
            yield it
        finally:
            stopper.communicate(timeout=120)


def _task_ports() -> str:
    """For the tasks of the first agent: those of processes that test at the same time are others."""
    first = 31000 + 1000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return f"{first}-{first + 199}"


def _run(arguments: Sequence[str], timeout_s: float) -> str:
    """What it prints; on its errors it says what happens."""
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}\nended with {done.returncode}:\n{done.stderr}"
    return done.stdout
