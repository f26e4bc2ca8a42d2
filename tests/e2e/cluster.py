"""A whole cluster on this machine, as a user has it: the real daemon, the real client, real tasks."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
_MODULES = {"aurorad": "aurorad.main", "aurora": "client.main", "aurora_admin": "client.admin"}
_ADDRESS = re.compile(r"(scheduler|observer): (https?://[^/\s]+)")


def eventually(what: str, probe: Callable[[], T | None], within_s: float = 30.0) -> T:
    """The first true answer of `probe`; fails with `what` when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(0.05)


class Workers(Protocol):
    """Machines beside the daemon's, where its tasks run: agents of another engine, each with an observer."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What the daemon has to be told to use them."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """In which the sandboxes are."""

    @property
    def observers(self) -> tuple[str, ...]:
        """Their addresses."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """What the agents call themselves."""

    def clean_up(self) -> None:
        """End all that runs there; returns when it has ended."""


class Cluster:
    """One `aurorad` with its work folder; it may be stopped, killed and started again."""

    def __init__(
        self,
        folder: Path,
        *flags: str,
        prefix: Sequence[str] = (),
        binaries: Path | None = None,
        workers: Workers | None = None,
    ) -> None:
        """`binaries` is the folder of the bundled programs, if they shall be used rather than the sources.

        Without `workers`, tasks run on the daemon's own machine.
        """
        self.work_dir = folder / "work"
        self.folder = folder
        self.flags = flags
        self.prefix = prefix
        self.binaries = binaries
        self.workers = workers
        self.scheduler = ""
        self.observer = ""
        self._process: subprocess.Popen[str] | None = None
        self._environment = {
            **os.environ,
            "AURORA_CONFIG_ROOT": str(folder),
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        command = [*self._program("aurorad"), f"-work_dir={self.work_dir}", "-http_port=0"]
        command += self.workers.flags if self.workers else []
        if not any(flag.startswith("-observer_port=") for flag in (*command, *self.flags)):
            command.append("-observer_port=0")
        log = (self.folder / "aurorad.log").open("a")
        with log:
            self._process = subprocess.Popen(
                [*self.prefix, *command, *self.flags],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            for name, url in _ADDRESS.findall(line):
                setattr(self, name, url)
            if line.startswith("aurorad: ready"):
                break
        else:
            status = self.wait_for_end()
            raise AssertionError(f"aurorad did not start, and ended with {status}:\n{self.log()}")
        clusters = [{"name": name, "scheduler_uri": self.scheduler} for name in ("devcluster", "example")]
        (self.folder / "clusters.json").write_text(json.dumps(clusters))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """The exit status, or minus the signal."""
        assert self._process is not None
        self._process.send_signal(how)
        return self.wait_for_end()

    def wait_for_end(self) -> int:
        """The exit status of a daemon that was told to end."""
        assert self._process is not None
        status = self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return status

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def observers(self) -> tuple[str, ...]:
        """The addresses of all."""
        return self.workers.observers if self.workers else (self.observer,)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names of all agents."""
        return self.workers.hosts if self.workers else ("localhost",)

    @property
    def sandboxes(self) -> tuple[Path, ...]:
        """The folders in which they are."""
        return self.workers.folders if self.workers else (self.work_dir,)

    def log(self) -> str:
        return (self.folder / "aurorad.log").read_text()

    def aurora(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The real client, in a process of its own; output and errors together in `stdout`."""
        return self._command("aurora", *arguments, **environment)

    def aurora_admin(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._command("aurora_admin", *arguments, **environment)

    def _program(self, name: str) -> list[str]:
        return [str(self.binaries / name)] if self.binaries else [sys.executable, "-m", _MODULES[name]]

    def _command(self, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._program(name), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment | environment,
            cwd=self.folder,
            timeout=150,
            check=False,
        )

    def task_processes(self) -> list[int]:
        """Processes that work in a sandbox of this cluster."""
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                with suppress(OSError):
                    cwd = (process / "cwd").readlink()
                    if any(map(cwd.is_relative_to, self.sandboxes)) and "sandbox" in cwd.parts:
                        found.append(int(process.name))
        return sorted(found)

    def get(self, path: str) -> str:
        """A page of the scheduler."""
        with urllib.request.urlopen(self.scheduler + path, timeout=30) as response:
            text: str = response.read().decode()
            return text

    def wait_for_status(self, key: str, status: str, within_s: float = 30.0) -> str:
        """The output of `aurora job status` once it shows the status."""

        output = ""

        def probe() -> str | None:
            nonlocal output
            output = self.aurora("job", "status", key).stdout
            return output if f"status: {status}" in output else None

        try:
            return eventually(f"{key} is {status}", probe, within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}; at last:\n{output}\n{self.log()}") from None


@contextmanager
def cluster(
    folder: Path,
    *flags: str,
    prefix: Sequence[str] = (),
    binaries: Path | None = None,
    workers: Workers | None = None,
) -> Iterator[Cluster]:
    """A started cluster that leaves nothing running behind."""
    ends = () if workers else ("-stop_tasks_on_exit",)
    it = Cluster(folder, *ends, *flags, prefix=prefix, binaries=binaries, workers=workers)
    try:
        it.start()
        yield it
    finally:
        if it.running:
            status = it.stop()
            assert status == 0, it.log()
        if workers:
            workers.clean_up()
