"""Where tests may make control groups: in real cgroup v2, if this machine lets them, and nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aurorad.cgroups import Hierarchy, TaskGroup, find_hierarchy

_NOWHERE = Path("/nonexistent")  # no systemd: a machine for tests lets us do what it does not forbid


def found() -> list[Hierarchy]:
    """One or none."""
    hierarchy = find_hierarchy(systemd=_NOWHERE)
    return [] if hierarchy is None else [hierarchy]


def name(hierarchy: Hierarchy | None) -> str:
    return "no cgroups" if hierarchy is None else f"cgroups in {hierarchy.base}"


@contextmanager
def own(hierarchy: Hierarchy | None) -> Iterator[Hierarchy | None]:
    """A part of it for one test; whoever is in there at the end is killed."""
    if hierarchy is None:
        yield None
        return
    base = hierarchy.base / f"aurora-test.{os.getpid()}"
    base.mkdir()
    try:
        yield Hierarchy(base)
    finally:
        everything = TaskGroup(base)
        while not everything.remove():
            everything.kill(leaf=None)


@pytest.fixture(params=[None, *found()], ids=name)
def hierarchy(request: pytest.FixtureRequest) -> Iterator[Hierarchy | None]:
    """Once without control groups, and once with those of this machine."""
    with own(request.param) as one:
        yield one
