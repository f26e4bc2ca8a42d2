"""Ending a task without its runner (thermos-runner sheet, section 10.3)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from executor.checkpoint import RunnerCkpt, RunnerHeader, StreamWriter, TaskState, TaskStatus
from executor.execution import wall_clock_ms
from executor.offline import Refused, kill_task
from executor.paths import CHECKPOINTS, TaskPaths
from tests.executor.harness import TASK_ID, Executor, alive, assigned, process, run_task, task, wait_until


def paths_of(executor: Executor) -> TaskPaths:
    return TaskPaths(executor.directory / CHECKPOINTS, TASK_ID)


def running(directory: Path) -> Executor:
    executor = Executor(assigned(task(process("p", "trap '' TERM; sleep 1000 & echo up > up; wait"))), directory)
    executor.wait_for_file("up")
    wait_until(lambda: executor.states("p") == ["RUNNING"], "p is on record")
    return executor


def test_a_task_whose_runner_died_is_killed_and_filed(tmp_path: Path) -> None:
    executor = running(tmp_path)
    executor.crash()
    kill_task(paths_of(executor), wall_clock_ms)
    assert [status.state.name for status in executor.state.statuses] == ["ACTIVE", "ACTIVE", "KILLED"]
    (run,) = executor.runs("p")
    assert (run.state.name, run.return_code) == ("KILLED", -9)
    wait_until(lambda: executor.inhabitants() == [], "all dead")
    assert paths_of(executor).finished.exists()
    assert not paths_of(executor).active.exists()


def test_with_force_the_runner_that_holds_the_task_is_killed_first(tmp_path: Path) -> None:
    executor = running(tmp_path)
    with pytest.raises(Refused, match="Could not open locked checkpoint"):
        kill_task(paths_of(executor), wall_clock_ms, force=False)
    assert alive(executor.pid)
    kill_task(paths_of(executor), wall_clock_ms)
    assert not alive(executor.pid)
    assert executor.states("p") == ["KILLED"]
    wait_until(lambda: executor.inhabitants() == [], "all dead")
    os.waitpid(executor.pid, 0)


def test_a_task_that_is_over_stays_as_it_is(tmp_path: Path) -> None:
    executor = run_task(tmp_path, task(process("p", "true")))
    before = executor.state
    kill_task(paths_of(executor), wall_clock_ms)
    assert executor.state == before


def test_a_task_of_which_nothing_is_known_is_only_filed(tmp_path: Path) -> None:
    paths = TaskPaths(tmp_path, "id")
    paths.active.parent.mkdir(parents=True)
    paths.active.write_text("{}")
    with pytest.raises(Refused, match="Cannot update states in uninitialized TaskState!"):
        kill_task(paths, wall_clock_ms, force=False)
    kill_task(paths, wall_clock_ms)
    assert paths.finished.exists()


def test_it_does_not_kill_itself(tmp_path: Path) -> None:
    paths = TaskPaths(tmp_path, "id")
    writer = StreamWriter(paths.runner)
    writer.append(RunnerCkpt(task_status=TaskStatus(TaskState.ACTIVE, 1, os.getpid(), 0)))
    writer.append(RunnerCkpt(runner_header=RunnerHeader("id")))
    with pytest.raises(Refused, match="Unwilling to commit seppuku"):
        kill_task(paths, wall_clock_ms)
    writer.close()
