"""What a runner has on record, and what it takes over from coordinators."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from executor.checkpoint import (
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    StreamHeld,
    StreamWriter,
    read_stream,
)
from executor.ledger import Ledger
from executor.paths import TaskPaths
from executor.task import Process, Task

TASK = Task(name="task", processes=(Process("p", "true"),))
FORKED = ProcessStatus(1, "p", ProcessState.FORKED, coordinator_pid=4242, fork_time=1.0)
RUNNING = ProcessStatus(2, "p", ProcessState.RUNNING, pid=4243, start_time=1.5)
SUCCESS = ProcessStatus(3, "p", ProcessState.SUCCESS, stop_time=2.0, return_code=0)


@pytest.fixture
def paths(tmp_path: Path) -> TaskPaths:
    return TaskPaths(tmp_path, "t-1")


def opened(paths: TaskPaths) -> Ledger:
    ledger = Ledger(paths, ["p"], lambda: 0, logging.getLogger())
    ledger.open(TASK, RunnerHeader("t-1"))
    return ledger


def say(paths: TaskPaths, *statuses: ProcessStatus) -> None:
    """As a coordinator does."""
    stream = StreamWriter(paths.coordinator("p"))
    for status in statuses:
        stream.append(RunnerCkpt(process_status=status))
    stream.close()


def on_record(paths: TaskPaths) -> list[str]:
    return [record.process_status.state.name for record in read_stream(paths.runner) if record.process_status]


def test_the_end_of_a_run_is_on_record_only_once_it_is_concluded(paths: TaskPaths) -> None:
    ledger = opened(paths)
    ledger.step("p", ProcessState.WAITING)
    say(paths, FORKED, RUNNING, SUCCESS)
    assert [status.state for status in ledger.collect("p")] == [ProcessState.FORKED, ProcessState.RUNNING]
    assert [run.state for run in ledger.live()] == [ProcessState.RUNNING]
    assert on_record(paths) == ["WAITING", "FORKED", "RUNNING"]
    assert ledger.conclude("p")
    assert ledger.live() == []
    assert on_record(paths) == ["WAITING", "FORKED", "RUNNING", "SUCCESS"]
    assert not ledger.conclude("p")


def test_an_end_that_a_runner_did_not_live_to_conclude_is_concluded_by_the_next(paths: TaskPaths) -> None:
    ledger = opened(paths)
    ledger.step("p", ProcessState.WAITING)
    say(paths, FORKED, RUNNING, SUCCESS)
    ledger.collect("p")
    ledger.close()  # as its death would
    ledger = opened(paths)
    assert [run.state for run in ledger.live()] == [ProcessState.RUNNING]
    assert ledger.collect("p") == []
    assert ledger.conclude("p")
    assert on_record(paths)[-1] == "SUCCESS"


def test_the_runners_word_on_an_end_stands(paths: TaskPaths) -> None:
    ledger = opened(paths)
    ledger.step("p", ProcessState.WAITING)
    say(paths, FORKED, RUNNING, SUCCESS)
    ledger.collect("p")
    ledger.step("p", ProcessState.KILLED)
    assert not ledger.conclude("p")
    assert on_record(paths)[-1] == "KILLED"


def test_one_ledger_holds_a_task_at_a_time(paths: TaskPaths) -> None:
    ledger = opened(paths)
    with pytest.raises(StreamHeld):
        opened(paths)
    ledger.close()
    opened(paths).close()


def test_a_coordinator_that_is_not_on_record_holds_its_stream_all_the_same(paths: TaskPaths) -> None:
    ledger = opened(paths)
    assert not ledger.is_held("p")
    assert not paths.coordinator("p").exists()
    stream = StreamWriter(paths.coordinator("p"))
    assert ledger.is_held("p")
    stream.close()
    assert not ledger.is_held("p")
