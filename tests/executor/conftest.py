"""Whatever a test leaves behind is ended with it, so that a failing one disturbs no other."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad import procfs
from tests.control_groups import hierarchy  # noqa: F401  a fixture
from tests.zookeeper import zookeeper, zookeeper_server  # noqa: F401  fixtures


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    among = procfs.processes()
    found = {pid for pid in procfs.descendants(os.getpid(), among) if among[pid].name != b"java"}  # ZooKeeper stays
    for pid in among:
        try:
            if Path(os.readlink(f"/proc/{pid}/cwd")).is_relative_to(tmp_path):
                found.add(pid)
        except OSError:
            continue
    for pid in found:
        procfs.send(among[pid], signal.SIGKILL)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)
