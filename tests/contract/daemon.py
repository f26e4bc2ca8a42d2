"""The real daemon on a simulated cluster, as a scenario wants it."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlencode

from tests.contract.scenario import Setup

REPOSITORY = Path(__file__).parents[2]
_ADDRESS = re.compile(r"aurorad: (scheduler|control): http://([^/\s]+)")
_PATIENCE_S = 60


class DidNotStart(Exception):
    """The daemon is not as the scenario needs it; its log says why."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # names in small letters
    body: bytes


class Scheduler(Protocol):
    """What scenarios are replayed against."""

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer: ...

    def tell_cluster(self, what: str, parameters: dict[str, str]) -> Answer: ...


class Elsewhere(NamedTuple):
    """A scheduler that somebody else started; of its cluster nothing can be asked."""

    address: str

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        return _ask(self.address, method, path, body, headers or {})

    def tell_cluster(self, what: str, parameters: dict[str, str]) -> Answer:
        return Answer(501, {}, f"{what}: this is no simulated cluster".encode())


class Daemon:
    """A running daemon, and how to talk to it: `scheduler` and `control` are host and port."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log
        self.scheduler = ""
        self.control = ""

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        return _ask(self.scheduler, method, path, body, headers or {})

    def tell_cluster(self, what: str, parameters: dict[str, str]) -> Answer:
        return _ask(self.control, "GET", f"/{what}?{urlencode(parameters)}", None, {})

    def log(self) -> str:
        return self._log.read_text()

    @property
    def pid(self) -> int:
        return self._process.pid


def _ask(address: str, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection(address, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


@contextmanager
def running(setup: Setup, folder: Path) -> Iterator[Daemon]:
    """A daemon that leads and holds an offer of every agent."""
    agents = folder / "agents"
    agents.write_text("\n".join(setup.agents))
    log = folder / "log"
    command = [
        *(sys.executable, "-m", "aurorad.main", "-engine=simulated", f"-work_dir={folder / 'work'}"),
        *("-http_port=0", "-simulated_control_port=0", f"-simulated_agents={agents}", "-log_to_stderr=WARN"),
        *setup.flags,
    ]
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=errors, text=True)
    daemon = Daemon(process, log)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = _ADDRESS.match(line)
            if found:
                setattr(daemon, found[1], found[2])
            if line.startswith("aurorad: ready"):
                break
        else:
            raise DidNotStart(f"aurorad did not start:\n{daemon.log()}")
        _wait_for_offers(daemon, setup)
        yield daemon
    finally:
        process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


def _wait_for_offers(daemon: Daemon, setup: Setup) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        offers = json.loads(daemon.ask("GET", "/offers").body)
        if {offer["agent_id"]["value"] for offer in offers} == set(setup.agent_ids):
            return
        time.sleep(0.05)
    raise DidNotStart(f"not every agent made an offer:\n{daemon.log()}")
