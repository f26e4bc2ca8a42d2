"""Commands load what they need and no more: each is a process of its own, and people wait for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aurorad.api.calls import GetJobs, GetQuota
from tests.client.fake_scheduler import FakeScheduler, ok

HEAVY = ("asyncio", "hypercorn", "jinja2", "kazoo", "pystachio", "quart", "requests", "rich", "trio")
LANGUAGE = ("pystachio",)
HTTP = ("requests",)


def loaded(home: Path, *words: str) -> set[str]:
    """Which of the heavy modules the command had loaded when it ended."""
    code = (
        "import sys; from client import main; from client.guard import real_world\n"
        f"main.run({list(words)!r}, real_world())\n"
        f"print(*set(sys.modules) & set({HEAVY!r}), file=sys.stderr)"
    )
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("version",), ()),
        (("--version",), ()),
        (("help",), ()),
        (("job", "-h"), ()),
        (("job", "lst"), ()),
        (("update", "list", "-h"), ()),
        (("job", "kill", "-h"), ()),
        (("job", "inspect", "x/y/z/w", "/dev/null"), LANGUAGE),
        (("job", "list", "west/*"), HTTP),
        (("quota", "get", "west/bozo"), HTTP),
        (("job", "restart", "-h"), ()),
    ],
)
def test_nothing_is_loaded_in_vain(
    home: Path, scheduler: FakeScheduler, words: tuple[str, ...], allowed: tuple[str, ...]
) -> None:
    scheduler.on(GetJobs, ok())
    scheduler.on(GetQuota, ok())
    assert loaded(home, *words) <= set(allowed)
