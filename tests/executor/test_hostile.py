"""Tasks that do not want to end: nothing of them is left, within the time that they were given.

Each is tried without control groups, and with them where this machine has cgroup v2 that may be written to.
"""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aurorad import procfs
from aurorad.cgroups import Hierarchy
from aurorad.engine.base import TaskState
from executor.execution import wall_clock_ms
from executor.main import LOG
from executor.offline import kill_task
from executor.paths import CHECKPOINTS, TaskPaths
from tests import control_groups
from tests.executor import hostile
from tests.executor.harness import TASK_ID, Executor, assigned, process, task, wait_until

FINISHED = (TaskState.TASK_FINISHED, "Task finished.")
KILLED = (TaskState.TASK_KILLED, "Instructed to kill task.")


@pytest.fixture(autouse=True)
def disarmed(tmp_path: Path) -> Iterator[None]:
    yield
    while left := processes_of(tmp_path):
        for one in left:
            procfs.send(one, signal.SIGKILL)


def processes_of(place: Path) -> list[procfs.ProcessInfo]:
    """Whatever has `place` on its command line, wherever it hides. Zombies have none."""
    found = []
    for pid in procfs.pids():
        try:
            line = procfs.read(pid, "cmdline")
        except OSError:
            continue
        if f"\0{place}/sandbox\0".encode() in line and (one := procfs.info(pid)) is not None:
            found.append(one)
    return found


def command(name: str, number: int = 0) -> str:
    return f"{shlex.join([sys.executable, '-S', '-E', hostile.__file__, name])} $HOME {number}"


def executor_of(tmp_path: Path, hierarchy: Hierarchy | None, *processes: dict[str, Any], **options: Any) -> Executor:
    fields = {"finalization_wait": options.pop("finalization_wait", 1)}
    executor = Executor(assigned(task(*processes, **fields)), tmp_path, hierarchy=hierarchy, **options)
    executor.wait_for_file("up")
    return executor


def kill(executor: Executor) -> None:
    executor.kill()
    assert executor.finish() == KILLED
    assert processes_of(executor.directory) == []
    assert executor.inhabitants() == []
    assert "do not die" not in (executor.directory / LOG).read_text()


def test_a_fork_bomb(tmp_path: Path, hierarchy: Hierarchy | None) -> None:
    bomb = process("bomb", command("bomb", 2000))
    executor = executor_of(tmp_path, hierarchy, bomb, kill_wait_s=1)
    assert len(processes_of(tmp_path)) > 2000
    kill(executor)
    assert executor.states("bomb") == ["KILLED"]


def test_processes_that_fork_faster_than_they_are_killed(tmp_path: Path, hierarchy: Hierarchy | None) -> None:
    executor = executor_of(tmp_path, hierarchy, process("hop", command("hoppers", 3)), kill_wait_s=0.2)
    kill(executor)


def test_a_daemon_that_left_its_session_and_cleared_its_environment(
    tmp_path: Path, hierarchy: Hierarchy | None
) -> None:
    executor = executor_of(
        tmp_path, hierarchy, process("start", command("daemon")), process("stay", "sleep 1000"), kill_wait_s=0.5
    )
    wait_until(lambda: executor.states("start") == ["SUCCESS"], "the daemon's starter has ended")
    assert len(processes_of(tmp_path)) == 1  # it is the task's until the task ends
    kill(executor)


def test_a_process_that_ignores_signals(tmp_path: Path, hierarchy: Hierarchy | None) -> None:
    executor = executor_of(tmp_path, hierarchy, process("deaf", command("deaf")), kill_wait_s=0.2)
    kill(executor)
    assert executor.states("deaf") == ["KILLED"]


def test_a_child_that_holds_the_output_open(tmp_path: Path, hierarchy: Hierarchy | None) -> None:
    executor = executor_of(tmp_path, hierarchy, process("p", command("holder")))
    assert executor.finish() == FINISHED
    assert executor.states("p") == ["SUCCESS"]
    assert processes_of(tmp_path) == []


def test_stopped_processes_are_woken_up_to_be_told(tmp_path: Path, hierarchy: Hierarchy | None) -> None:
    executor = executor_of(tmp_path, hierarchy, process("p", command("stopped")), kill_wait_s=0.5)
    kill(executor)
    assert (executor.sandbox / "woken").exists()


def test_a_tree_500_deep(tmp_path: Path, hierarchy: Hierarchy | None) -> None:
    """By a shell: to fork a fork of a fork takes the kernel longer each time."""
    deeper = """trap "" TERM; if [ $2 -gt 0 ]; then sh -c "$0" "$0" $1 $(($2-1)); else echo up >up; sleep 60; fi; :"""
    tree = process("p", f'deeper={shlex.quote(deeper)}; sh -c "$deeper" "$deeper" $HOME 500; :')
    executor = executor_of(tmp_path, hierarchy, tree, kill_wait_s=0.2)
    assert len(processes_of(tmp_path)) == 501
    kill(executor)


def test_a_factory_of_zombies(tmp_path: Path, hierarchy: Hierarchy | None) -> None:
    executor = executor_of(tmp_path, hierarchy, process("p", command("zombies", 500)), kill_wait_s=0.2)
    wait_until(lambda: not unburied(executor.pid), "those that were left to the executor are buried")
    kill(executor)


def unburied(parent: int) -> bool:
    return any(one.zombie for one in procfs.processes().values() if one.parent == parent)


@pytest.mark.parametrize("found", control_groups.found() or [None], ids=control_groups.name)
def test_a_daemon_of_a_task_whose_executor_died_is_ended_by_the_next_one(
    tmp_path: Path, found: Hierarchy | None
) -> None:
    """By its control group. Where there is none, the kernel says of no process any more whose it was."""
    with control_groups.own(found) as hierarchy:
        start, stay = process("start", command("daemon")), process("stay", "sleep 1000")
        first = executor_of(tmp_path, hierarchy, start, stay)
        wait_until(lambda: first.states("start") == ["SUCCESS"], "the daemon's starter has ended")
        first.crash()
        second = Executor(
            assigned(task(start, stay, finalization_wait=1)), tmp_path, hierarchy=hierarchy, kill_wait_s=0.5
        )
        second.until(TaskState.TASK_RUNNING)
        second.kill()
        assert second.finish() == KILLED
        assert len(processes_of(tmp_path)) == (1 if hierarchy is None else 0)


@pytest.mark.parametrize("found", control_groups.found() or [None], ids=control_groups.name)
def test_a_daemon_of_a_task_that_is_killed_by_hand(tmp_path: Path, found: Hierarchy | None) -> None:
    """Likewise."""
    with control_groups.own(found) as hierarchy:
        start, stay = process("start", command("daemon")), process("stay", "sleep 1000")
        executor = executor_of(tmp_path, hierarchy, start, stay)
        wait_until(lambda: executor.states("start") == ["SUCCESS"], "the daemon's starter has ended")
        executor.crash()
        kill_task(TaskPaths(tmp_path / CHECKPOINTS, TASK_ID), wall_clock_ms)
        assert executor.states("stay") == ["KILLED"]
        assert len(processes_of(tmp_path)) == (1 if hierarchy is None else 0)
