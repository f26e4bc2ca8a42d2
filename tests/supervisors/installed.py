"""The daemon as packages install it, in a folder of a test's: wrapper, flags file, ready files for supervisors."""

from __future__ import annotations

import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aurorad.api.calls import CreateJob
from aurorad.api.enums import ResponseCode
from tests.e2e.cluster import REPOSITORY, Cluster, eventually
from tests.e2e.jobs import call, running, shell_job
from tests.e2e.schedulers import status_of
from tests.web.serving import free_port

BARE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""What a supervisor's own environment has at boot: no home, no language."""


class Installed(Cluster):
    """Started by somebody else, who finds everything in `folder`."""

    def __init__(self, folder: Path, name: str = "aurora-scheduler") -> None:
        super().__init__(folder)
        self.name = name
        self.port = free_port()
        self.scheduler = f"http://localhost:{self.port}"
        program = folder / "aurorad"
        _script(program, f'exec env PYTHONPATH={REPOSITORY} {sys.executable} -m aurorad.main "$@"')
        file = folder / "flags"
        port_flag = "observer_port" if name == "aurora-observer" else "http_port"
        places = f"-mesos_root={folder / 'mesos'}" if name == "aurora-observer" else f"-work_dir={self.work_dir}"
        file.write_text(f"# as in /etc/default\n\n-{port_flag}={self.port}\n{places}\n")
        self.wrapper = folder / name
        wrapper = REPOSITORY / "packaging" / "bin" / "aurora-scheduler"
        if name == "aurora-observer":
            wrapper = wrapper.with_name(name)
        _script(self.wrapper, f'AURORAD={program} AURORA_FLAGS_FILE={file} exec {wrapper} "$@"')

    def ready_file(self, path: str, port: int, *changes: tuple[str, str]) -> str:
        """The text of a file below ``packaging/``, about this one."""
        text = (REPOSITORY / "packaging" / path).read_text()
        for before, after in (
            (f"/usr/sbin/{self.name}", str(self.wrapper)),
            ("/usr/lib/aurora-scheduler/aurorad", str(Path(sys.executable).resolve())),
            ("/usr/lib/aurora-executor/aurorad", str(Path(sys.executable).resolve())),
            ("/run/", f"{self.folder}/"),
            ("/var/log/supervisor/", f"{self.folder}/"),
            ("/var/log/", f"{self.folder}/"),
            (str(port), str(self.port)),
            *changes,
        ):
            text = text.replace(before, after)
        return text

    @property
    def is_well(self) -> bool:
        return status_of(self, "/health") == 200

    def start_task(self) -> tuple[str, list[int]]:
        """A task's id, and its processes."""
        assert call(self, CreateJob(shell_job("going-on", "sleep 600"))).response_code is ResponseCode.OK
        eventually("the task runs", lambda: running(self, "going-on") and self.task_processes())
        return self.task()

    def task(self) -> tuple[str, list[int]]:
        (task,) = running(self, "going-on")
        return task.assigned_task.task_id, self.task_processes()

    def end_tasks(self) -> None:
        """Those that went on without a daemon."""
        if self.work_dir.exists():
            cluster = Cluster(self.folder, "-stop_tasks_on_exit")
            cluster.start()
            assert cluster.stop() == 0


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


@contextmanager
def running_supervisor(command: Sequence[str | Path], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """In the foreground; ended at the end, which for some ends what they supervise and for others does not."""
    with (folder / "supervisor.out").open("ab") as out:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=BARE)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(90)


def changed(what: str, read: Callable[[], int | None], before: int, within_s: float = 60) -> int:
    """The new value, as soon as there is another one."""

    def probe() -> int | None:
        now = read()
        return now if now not in (None, before) else None

    return eventually(what, probe, within_s)


class Supervised(ABC):
    """A daemon that a supervisor looks after."""

    installed: Installed

    @abstractmethod
    def pid(self) -> int | None:
        """Of the one that runs."""

    def well(self) -> int:
        """The process id, as soon as all is well."""
        eventually("it is well", lambda: self.installed.is_well, 60)
        pid = self.pid()
        assert pid is not None
        return pid

    def well_again(self, before: int) -> int:
        """As `well`, of another process."""
        changed("its supervisor starts another one", self.pid, before)
        return self.well()
