"""What `thermos` finds by itself on this machine is not for tests to see, and not at all to remove."""

from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.flags import Flags
from executor.thermos import roots


@pytest.fixture(autouse=True)
def usual_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds all of them, for commands of this process."""
    usual = tmp_path_factory.mktemp("usual")
    monkeypatch.setattr(roots, "DEFAULT_ROOT", usual / "thermos")
    monkeypatch.setattr(roots, "_MESOS_ROOT", usual / "mesos")
    monkeypatch.setattr(roots, "_SYSTEM_AGENT", usual / "system")
    monkeypatch.setattr(roots, "Flags", lambda: Flags(work_dir=usual / "aurorad"))
    return usual
