"""Daemons that hide, of tasks whose executor was killed: without control groups, and with those of this machine."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from aurorad import procfs
from aurorad.cgroups import Hierarchy
from aurorad.engine.base import TaskState
from aurorad.engine.local.engine import LAUNCHER
from aurorad.engine.local.oversight import Restarts
from tests.engine.rig import LIMIT_S, REPOSITORY, Rig, end_leftovers, running
from tests.executor import hostile
from tests.waiting import until

_WITHOUT_GROUPS = f"""
import functools, sys
sys.path.insert(0, {str(REPOSITORY)!r})
from executor.execution import Execution
from executor.launcher import serve
serve(functools.partial(Execution, hierarchy=lambda: None))
"""


@pytest.fixture
def work_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "work"
    end_leftovers(tmp_path / "work")
    for one in hiding(tmp_path):
        procfs.send(one, signal.SIGKILL)


def hiding(place: Path) -> list[procfs.ProcessInfo]:
    """The task's processes, which have their sandbox on their command line."""
    found = []
    for pid in procfs.pids():
        try:
            line = procfs.read(pid, "cmdline")
        except OSError:
            continue
        if b"\0linger\0" in line and os.fsencode(place) in line and (one := procfs.info(pid)) is not None:
            found.append(one)
    return found


async def launch(rig: Rig) -> None:
    """A task with one process that goes on, and a daemon whose starter has ended."""
    hide = shlex.join([sys.executable, "-S", "-E", hostile.__file__, "daemon"]) + " $HOME 1"
    stay = "sleep 1000"
    await rig.launch_job(
        "t-1", {"name": "t", "processes": [{"name": "hide", "cmdline": hide}, {"name": "stay", "cmdline": stay}]}
    )
    await rig.update("t-1", TaskState.TASK_RUNNING)
    coordinators = rig.run_directory("t-1") / "checkpoints/checkpoints/t-1"
    await until(lambda: (rig.run_directory("t-1") / "sandbox/up").exists())
    await until(lambda: len((coordinators / "coordinator.hide").read_bytes()) > 150)  # its last word
    assert len(hiding(rig.work_dir)) == 1


@pytest.mark.parametrize("most", [0, 5])
async def test_a_daemon_that_hides_is_ended_with_its_task_though_its_executor_was_killed(
    work_dir: Path, hierarchy: Hierarchy | None, most: int
) -> None:
    launcher = LAUNCHER if hierarchy is not None else (sys.executable, "-c", _WITHOUT_GROUPS)
    async with running(
        work_dir, launcher=launcher, restarts=Restarts(most=most, pause_s=0.1), hierarchy=hierarchy
    ) as rig:
        await launch(rig)
        dead = rig.executor("t-1")
        os.kill(dead.pid, signal.SIGKILL)
        if most:
            await until(lambda: rig.executor("t-1") != dead)
            await rig.engine.kill("t-1")
            await rig.update("t-1", TaskState.TASK_KILLED)
        else:
            await rig.update("t-1", TaskState.TASK_LOST)
        assert hiding(work_dir) == []
        with trio.fail_after(LIMIT_S):
            await rig.offer_with(cpus=4)  # the run is over
        assert hierarchy is None or list(hierarchy.base.glob("aurora.*")) == []
