"""Ending a task without its runner (thermos-runner sheet, section 10.3)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from executor.checkpoint import RunnerCkpt, RunnerHeader, StreamWriter, TaskState, TaskStatus, read_stream
from executor.execution import wall_clock_ms
from executor.main import LOG
from executor.offline import Refused, kill_task, record_end
from executor.paths import CHECKPOINTS, TaskPaths
from tests.executor.harness import TASK_ID, Executor, alive, assigned, process, run_task, task, wait_until


def paths_of(executor: Executor) -> TaskPaths:
    return TaskPaths(executor.directory / CHECKPOINTS, TASK_ID)


COMMAND = "trap '' TERM; sleep 1000 & echo up > up; wait"


def running(directory: Path) -> Executor:
    executor = Executor(assigned(task(process("p", COMMAND))), directory)
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


def test_a_runner_that_takes_over_meanwhile_is_no_way_out(tmp_path: Path) -> None:
    executor = running(tmp_path)
    heir = Executor(assigned(task(process("p", COMMAND))), tmp_path)
    wait_until(lambda: "Waiting for it." in (tmp_path / LOG).read_text(), "the heir waits")
    kill_task(paths_of(executor), wall_clock_ms)
    assert executor.state.statuses[-1].state.name == "KILLED"
    wait_until(lambda: executor.inhabitants() == [], "all dead")
    os.waitpid(executor.pid, 0)
    os.waitpid(heir.pid, 0)


def test_an_end_is_recorded_without_a_signal_to_anybody(tmp_path: Path) -> None:
    executor = running(tmp_path)
    executor.crash()
    record_end(paths_of(executor), TaskState.LOST, wall_clock_ms)
    assert [status.state.name for status in executor.state.statuses] == ["ACTIVE", "ACTIVE", "LOST"]
    assert executor.states("p") == ["LOST"]
    assert executor.inhabitants() != []
    assert paths_of(executor).finished.exists()


def test_what_a_coordinator_wrote_after_its_runner_died_is_part_of_the_end(tmp_path: Path) -> None:
    job = assigned(task(process("p", "echo up > up; until test -e go; do sleep 0.01; done"), process("q", "sleep 99")))
    executor = Executor(job, tmp_path)
    executor.wait_for_file("up")
    wait_until(lambda: executor.states("q") == ["RUNNING"], "q is on record")
    executor.crash()
    (executor.sandbox / "go").touch()
    paths = paths_of(executor)
    wait_until(lambda: len(read_stream(paths.coordinator("p"))) == 3, "p has ended")
    record_end(paths, TaskState.LOST, wall_clock_ms)
    assert executor.states("p") == ["SUCCESS"]
    assert executor.states("q") == ["LOST"]


@pytest.mark.parametrize("state", [TaskState.LOST, TaskState.KILLED])
def test_an_end_that_is_on_record_stays_whatever_is_to_be_recorded(tmp_path: Path, state: TaskState) -> None:
    executor = run_task(tmp_path, task(process("p", "true")))
    before = executor.state
    record_end(paths_of(executor), state, wall_clock_ms)
    assert executor.state == before


def test_of_a_task_without_checkpoints_no_end_is_recorded(tmp_path: Path) -> None:
    record_end(TaskPaths(tmp_path, "id"), TaskState.LOST, wall_clock_ms)
    assert list(tmp_path.iterdir()) == []
