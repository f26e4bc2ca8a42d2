"""The client in this process, against a real daemon: streams apart, and no time lost with starting Python."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from client import main
from client.session import Outside
from tests.e2e.cluster import Cluster

_LONGEST_WAIT_S = 0.1  # a daemon that pretends is done in no time; the command would sleep for seconds


@dataclasses.dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Client:
    """Runs `aurora` for a user whose home is `home`."""

    def __init__(self, cluster: Cluster, home: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.opened: list[str] = []
        self._captured = captured
        self._environ = {**os.environ, "HOME": str(home), "AURORA_CONFIG_ROOT": str(cluster.folder), "COLUMNS": "200"}

    def __call__(self, *words: object) -> Ran:
        outside = Outside(self._environ, time.monotonic, self._sleep, self._open, lambda: str(uuid.uuid4()), time.time)
        sys.stdout.flush()
        self._captured.readouterr()
        code = main.run([str(word) for word in words], outside)
        captured = self._captured.readouterr()
        return Ran(int(code), captured.out, captured.err)

    def done(self, *words: object) -> Ran:
        """What must succeed."""
        ran = self(*words)
        assert ran.code == 0, ran
        return ran

    def _open(self, url: str) -> bool:
        self.opened.append(url)
        return True

    @staticmethod
    def _sleep(seconds: float) -> None:
        time.sleep(min(seconds, _LONGEST_WAIT_S))


def log_lines(ran: Ran) -> Sequence[str]:
    """What was logged at INFO, without the level."""
    return [line.removeprefix(" INFO] ") for line in ran.err.splitlines() if line.startswith(" INFO] ")]
