"""The stages of a task and their time (thermos-runner sheet, sections 7 and 10.1), in simulated time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from executor.checkpoint import ProcessState, ProcessStatus, TaskState, replay
from executor.task import Constraint, Process, Task
from tests.executor.world import Behaviour, Interference, Lived, live

FOREVER, DEAF = 1e6, math.inf
WELL = Behaviour(5.0, 0)
SKIPPING = "Exceeded finalization wait, skipping finalization."
TERMINATING = "Exceeded finalization wait, terminating finalization."
DEADLOCKED = "Finalizing plan deadlocked."


def lived(
    directory: Path, task: Task, behaviours: Mapping[str, list[Behaviour]], outside: Interference | None = None
) -> Lived:
    """Runs behave as they are told, one after the other, and then well."""
    left = {name: iter(of_process) for name, of_process in behaviours.items()}
    return live(task, directory, lambda name: next(left.get(name, iter(())), WELL), outside or Interference(), 100)


def stages(lived: Lived) -> list[tuple[str, float]]:
    """The task's states, and when it came to them."""
    statuses = [record.task_status for record in lived.records if record.task_status is not None]
    return [(status.state.name, round(status.timestamp_ms / 1000, 1)) for status in statuses]


def runs(lived: Lived, name: str) -> tuple[ProcessStatus, ...]:
    return replay(lived.records, recovering=False).processes.get(name, ())


def task(*processes: Process, order: tuple[str, ...] = (), finalization_wait: int = 30, **fields: Any) -> Task:
    return Task("t", processes, (Constraint(order),), finalization_wait=finalization_wait, **fields)


MAIN, LAST = Process("main", "true"), Process("last", "true", final=True)


def test_a_task_runs_cleans_up_and_finalizes(tmp_path: Path) -> None:
    done = lived(tmp_path, task(MAIN, LAST), {})
    assert stages(done) == [("ACTIVE", 0), ("CLEANING", 5), ("FINALIZING", 5), ("SUCCESS", 10)]
    assert done.log.count("Exceeded") == 0


def test_a_process_that_does_not_go_uses_up_the_time_of_the_finalizers(tmp_path: Path) -> None:
    aside = Process("aside", "true", ephemeral=True)
    done = lived(tmp_path, task(MAIN, aside, LAST), {"aside": [Behaviour(FOREVER, 0, heeds_s=DEAF)]})
    assert stages(done) == [("ACTIVE", 0), ("CLEANING", 5), ("SUCCESS", 35)]
    assert SKIPPING in done.log
    (run,) = runs(done, "aside")
    assert (run.state, run.return_code, run.stop_time) == (ProcessState.KILLED, -1, 35)
    assert runs(done, "last") == ()


def test_finalizers_have_what_is_left_of_the_time(tmp_path: Path) -> None:
    aside = Process("aside", "true", ephemeral=True)
    behaviours = {"aside": [Behaviour(FOREVER, 0, heeds_s=20.0, last_code=0)], "last": [Behaviour(FOREVER, 0)]}
    done = lived(tmp_path, task(MAIN, aside, LAST), behaviours)
    assert stages(done) == [("ACTIVE", 0), ("CLEANING", 5), ("FINALIZING", 25), ("SUCCESS", 35)]
    assert TERMINATING in done.log
    assert [run.state for run in runs(done, "last")] == [ProcessState.KILLED]


def test_finalizers_that_wait_for_a_failed_one_are_not_waited_for(tmp_path: Path) -> None:
    first = Process("first", "true", final=True)
    done = lived(tmp_path, task(MAIN, first, LAST, order=("first", "last")), {"first": [Behaviour(1.0, 1)]})
    assert stages(done)[-1] == ("SUCCESS", 6)
    assert DEADLOCKED in done.log


@pytest.mark.parametrize("finalization_wait", [0, 1, 300])
def test_a_kill_has_its_own_minute_whatever_the_task_has(tmp_path: Path, finalization_wait: int) -> None:
    deaf = {"main": [Behaviour(FOREVER, 0, heeds_s=DEAF)]}
    killed = task(MAIN, LAST, finalization_wait=finalization_wait)
    done = lived(tmp_path, killed, deaf, Interference(kill_s=7.0))
    assert stages(done) == [("ACTIVE", 0), ("CLEANING", 7), ("KILLED", 67)]
    assert SKIPPING in done.log


def test_a_kill_gives_a_task_that_is_cleaned_up_more_time(tmp_path: Path) -> None:
    aside = Process("aside", "true", ephemeral=True)
    deaf = {"aside": [Behaviour(FOREVER, 0, heeds_s=DEAF)]}
    done = lived(tmp_path, task(MAIN, aside), deaf, Interference(kill_s=20.0))
    assert stages(done) == [("ACTIVE", 0), ("CLEANING", 5), ("KILLED", 80)]


def test_finalizers_run_on_a_kill(tmp_path: Path) -> None:
    done = lived(tmp_path, task(MAIN, LAST), {"main": [Behaviour(FOREVER, 0)]}, Interference(kill_s=7.0))
    assert stages(done) == [("ACTIVE", 0), ("CLEANING", 7), ("FINALIZING", 7), ("KILLED", 12)]
    assert [run.state for run in runs(done, "last")] == [ProcessState.SUCCESS]


def test_a_task_that_is_given_up_has_no_time_at_all(tmp_path: Path) -> None:
    lose = Interference(kill_s=7.0, kill_as=TaskState.LOST, kill_wait_s=0.0)
    done = lived(tmp_path, task(MAIN, LAST), {"main": [Behaviour(FOREVER, 0, heeds_s=1.0)]}, lose)
    assert stages(done) == [("ACTIVE", 0), ("CLEANING", 7), ("LOST", 7)]
    assert [run.state for run in runs(done, "main")] == [ProcessState.KILLED]


def test_a_command_that_is_not_started_within_a_minute_is_lost(tmp_path: Path) -> None:
    done = lived(tmp_path, task(MAIN), {"main": [Behaviour(1.0, 0, starts=False)]})
    first, second = runs(done, "main")
    assert (first.state, second.state) == (ProcessState.LOST, ProcessState.SUCCESS)
    assert 60 <= done.ended_s["main"][0] <= 61


def test_a_lost_run_is_tried_again_after_its_min_duration(tmp_path: Path) -> None:
    done = lived(tmp_path, task(Process("main", "true", min_duration=15)), {"main": [Behaviour(2.0, None)]})
    first, second = runs(done, "main")
    assert (first.state, second.fork_time) == (ProcessState.LOST, 17.0)


def test_a_runner_that_takes_over_gives_a_task_its_time_anew(tmp_path: Path) -> None:
    aside = Process("aside", "true", ephemeral=True)
    deaf = {"aside": [Behaviour(FOREVER, 0, heeds_s=DEAF)]}
    done = lived(tmp_path, task(MAIN, aside), deaf, Interference(crash_s=20.0))
    assert stages(done) == [("ACTIVE", 0), ("CLEANING", 5), ("CLEANING", 20), ("SUCCESS", 50)]


def test_a_daemon_runs_until_it_has_run_too_often(tmp_path: Path) -> None:
    daemon = Process("d", "true", daemon=True, min_duration=1)
    done = lived(tmp_path, task(daemon), {})
    assert len(runs(done, "d")) == 100
    assert stages(done)[-1] == ("FAILED", 100 * 5 + 99)
