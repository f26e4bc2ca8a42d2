"""Ended runs go in time; those that live, and what lies outside, never do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from aurorad import folders
from aurorad.engine.local.garbage import GarbageCollector
from aurorad.engine.local.runs import Run, Runs
from aurorad.engine.retention import Disk, Policy
from aurorad.vars import Vars
from tests.engine.rig import now_ms, task

HOUR_S = 3600.0
KB = 1024


class Agent:
    """Its files, and what was removed of them."""

    def __init__(self, place: Path) -> None:
        self.place, self.runs, self.stats = place, Runs(place), Vars()

    def run(self, name: str, ended_h: float | None = None, size: int = 0) -> Path:
        """The sandbox of a run that ended so long ago, or that goes on."""
        run = Run(name, "f-1", "a-1", "secret", task("a-1", f"task-{name}"))
        self.runs.create([run])
        sandbox = self.runs.directory(run) / "sandbox"
        (sandbox / "output").write_bytes(b"x" * size)
        if ended_h is not None:
            self.runs.end(run)
            ended_s = time.time() - ended_h * HOUR_S
            os.utime(self.place / "meta" / name / "ended", (ended_s, ended_s))
        return sandbox

    def collector(self, policy: Policy, headroom: float = 0.0) -> GarbageCollector:
        return GarbageCollector(self.runs, self.place, policy, headroom, now_ms, self.stats)

    async def collect(self, policy: Policy, headroom: float = 0.0) -> None:
        collector = self.collector(policy, headroom)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collector.run)
            await collector.collected.wait()
            nursery.cancel_scope.cancel()

    @property
    def left(self) -> set[str]:
        found = self.place.glob("slaves/*/frameworks/*/executors/*/runs/*/sandbox")
        sandboxes = {path.parent.name for path in found if path.parent.name != "latest"}
        assert sandboxes == {path.name for path in (self.place / "meta").iterdir()}
        return sandboxes


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    (tmp_path / "agent").mkdir()
    return Agent(tmp_path / "agent")


async def test_what_is_too_old_goes_with_all_that_is_known_of_it(agent: Agent) -> None:
    agent.run("old", ended_h=3, size=8 * KB)
    agent.run("young", ended_h=1, size=4 * KB)
    agent.run("alive")
    await agent.collect(Policy(max_age_s=2 * HOUR_S))
    assert agent.left == {"young", "alive"}
    assert not list(agent.place.glob("slaves/*/frameworks/*/executors/*task-old"))
    assert agent.stats.get("gc_runs_removed") == 1
    assert int(agent.stats.get("gc_bytes_removed")) >= 8 * KB
    assert agent.stats.get("gc_runs_kept") == 1
    assert 4 * KB <= int(agent.stats.get("gc_bytes_kept")) < 8 * KB


async def test_the_oldest_go_while_all_take_too_much(agent: Agent) -> None:
    for name, ended_h in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        agent.run(name, ended_h, size=64 * KB)
    agent.run("alive", size=640 * KB)
    await agent.collect(Policy(max_bytes=140 * KB))
    assert agent.left == {"b", "c", "alive"}


async def test_the_oldest_go_while_the_disk_lacks_room(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, ended_h in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        agent.run(name, ended_h, size=64 * KB)
    monkeypatch.setattr(GarbageCollector, "_disk", lambda self: Disk(1000 * KB, 40 * KB, self._headroom))
    await agent.collect(Policy(), headroom=0.1)
    assert agent.left == {"b", "c"}


async def test_nothing_goes_while_the_disk_has_room(agent: Agent) -> None:
    agent.run("a", ended_h=100)
    await agent.collect(Policy(), headroom=1e-9)
    assert agent.left == {"a"}


async def test_links_that_a_task_planted_lead_nowhere(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    sandbox = agent.run("a", ended_h=3)
    (sandbox / "link").symlink_to(tmp_path / "precious")
    sandbox.rename(sandbox.with_name("moved"))
    sandbox.symlink_to(tmp_path / "precious")
    await agent.collect(Policy(max_age_s=0))
    assert agent.left == set()
    assert (tmp_path / "precious" / "file").exists()


async def test_a_tree_deeper_than_any_path_goes_too(agent: Agent) -> None:
    fd = os.open(agent.run("a", ended_h=3), os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    await agent.collect(Policy(max_age_s=0))
    assert agent.left == set()


async def test_what_cannot_be_removed_does_not_keep_the_rest(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    removal = folders.removal

    def refuse(folder: Path) -> Iterator[int]:
        if folder.name.endswith("task-b"):
            raise PermissionError(1, "Operation not permitted", "immutable")
        return removal(folder)

    for name, ended_h in (("b", 2.0), ("a", 3.0), ("c", 1.0)):
        agent.run(name, ended_h)
    monkeypatch.setattr(folders, "removal", refuse)
    collector = agent.collector(Policy(max_age_s=0))
    await collector._collect()
    await collector._collect()
    assert agent.left == {"b"}
    assert agent.stats.get("gc_failures") == 2
    assert caplog.text.count("cannot remove run b") == 1
    monkeypatch.undo()
    await collector._collect()
    assert agent.left == set()


async def test_a_damaged_run_harms_nobody(agent: Agent) -> None:
    agent.run("a", ended_h=3)
    agent.run("b", ended_h=3)
    (agent.place / "meta" / "a" / "executor").symlink_to("1 2 boot")
    (agent.place / "meta" / "a" / "run.json").write_text("nonsense")
    await agent.collect(Policy(max_age_s=0))
    assert agent.left == {"a"}
    assert agent.stats.get("gc_failures") == 1


async def test_the_loop_goes_on_meanwhile_and_a_stop_is_heeded(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = agent.run("a", ended_h=3)
    for number in range(500):
        (sandbox / str(number)).touch()
    monkeypatch.setattr("aurorad.engine.local.garbage._TURN_S", 0.0)  # each part a turn of its own
    collector = agent.collector(Policy(max_age_s=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collector.run)
        while len(list(sandbox.iterdir())) == 501:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert 0 < len(list(sandbox.iterdir())) < 501
    assert agent.left == {"a"}, "the next engine goes on"
    await agent.collect(Policy(max_age_s=0))
    assert agent.left == set()
