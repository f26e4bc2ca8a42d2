"""A process that does nothing but announce: `Announcing` starts it, and hears its log.

It stands for an executor, which has no threads, as this process has when it uses ZooKeeper itself.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import trio

from aurorad import procfs
from aurorad.api.tasks import JobKey
from executor.announcement import AnnouncerSettings, announcement_of
from executor.announcer import Announcer
from executor.announcer_auth import ZooKeeperAuth, read_auth_file
from executor.task import Announcer as AnnouncerConfig

PATH = "/aurora/role/test/job"
PORTS = {"http": 31000, "aurora": 31000, "admin": 31001}
PATIENCE_S = 60.0


class Orders(msgspec.Struct, frozen=True):
    ensemble: str
    auth_file: str | None = None
    connect_limit_s: float = 30.0
    retry_s: float = 0.05
    user: int | None = None


class Announcing:
    """Within, `job`'s instance 3 is being announced at `PATH`. `log` is what was heard of it."""

    def __init__(self, orders: Orders) -> None:
        command = [sys.executable, "-m", __name__, msgspec.json.encode(orders).decode()]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.log = ""

    def until(self, text: str) -> None:
        """Waits until the log has it; what came before is forgotten."""
        assert self.process.stdout is not None
        end = time.monotonic() + PATIENCE_S
        while text not in self.log:
            ready, _, _ = select.select([self.process.stdout], [], [], end - time.monotonic())
            assert ready, f"no {text!r} in {PATIENCE_S} s: {self.log}"
            said = os.read(self.process.stdout.fileno(), 65536)
            assert said, f"ended without {text!r}: {self.log}"
            self.log += said.decode()
        self.log = self.log.partition(text)[2]

    def member(self) -> int:
        """The pid of the process that is the member."""
        (pid,) = procfs.descendants(self.process.pid, procfs.processes())
        return pid

    def stop(self) -> str:
        """Cancels the announcer and waits for its process; the rest of the log."""
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.log + rest.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


async def _announce(orders: Orders) -> None:
    auth = read_auth_file(Path(orders.auth_file)) if orders.auth_file else ZooKeeperAuth()
    settings = AnnouncerSettings(orders.ensemble, auth=auth)
    announcement = announcement_of(AnnouncerConfig(), settings, JobKey("role", "test", "job"), 3, "host.example", PORTS)
    helpers: set[int] = set()
    announcer = Announcer(
        announcement, settings, orders.connect_limit_s, helpers, logging.getLogger(), retry_s=orders.retry_s
    )
    async with trio.open_nursery() as nursery:

        async def announce() -> None:
            print("ended:", await announcer.run())
            nursery.cancel_scope.cancel()

        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            nursery.start_soon(announce)
            async for _ in signals:
                nursery.cancel_scope.cancel()
    print("helpers:", sorted(helpers))


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(message)s")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is no StringIO
    trio.run(_announce, msgspec.json.decode(sys.argv[1], type=Orders))
