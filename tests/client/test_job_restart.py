from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from aurorad.api.calls import GetTasksWithoutConfigs, RestartShards
from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from tests.client.conftest import KEY, Runner, World
from tests.client.fake_scheduler import Answer, FakeScheduler, ok, refused
from tests.client.values import HELLO, task, tasks

RUNNING = ScheduleStatus.RUNNING


def active(*instances: int, watched: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
    """What is active, and what a look at the restarted ones sees."""
    there = tasks(*(task(i, RUNNING) for i in instances))
    return lambda call: there if call.query.statuses == ACTIVE_STATES else watched(call)


def healthy(call: Any) -> Answer:
    return tasks(*(task(i, RUNNING) for i in call.query.instance_ids))


def test_instances_are_restarted_one_after_the_other_and_watched(
    aurora: Runner, scheduler: FakeScheduler, world: World
) -> None:
    scheduler.on(RestartShards, ok())
    scheduler.on(GetTasksWithoutConfigs, active(0, 1, watched=healthy))
    ran = aurora("job", "restart", "--watch-secs=5", KEY)
    assert (ran.code, ran.out) == (0, f"Job {KEY} restarted successfully\n")
    assert scheduler.of(RestartShards) == [RestartShards(HELLO, frozenset({0})), RestartShards(HELLO, frozenset({1}))]
    assert world.slept == [3, 3, 3, 3]
    assert ran.err.splitlines() == [
        f" INFO] Performing rolling restart of job {KEY} (instances: [0, 1])",
        " INFO] Restarting instances: [0]",
        " INFO] Watching instances: [0]",
        " INFO] Detected RUNNING instance 0",
        f" INFO] Restarting {KEY}: 0 of 2",
        " INFO] Instance 0 has been up and healthy for at least 5 seconds",
        f" INFO] Restarting {KEY}: 1 of 2",
        " INFO] Restarting instances: [1]",
        " INFO] Watching instances: [1]",
        " INFO] Detected RUNNING instance 1",
        " INFO] Instance 1 has been up and healthy for at least 5 seconds",
        f" INFO] Restarting {KEY}: 2 of 2",
        " INFO] All instances were restarted successfully",
    ]


def test_an_instance_that_is_replaced_while_watched_fails_the_restart(aurora: Runner, scheduler: FakeScheduler) -> None:
    looks = iter(range(100))

    def flapping(call: Any) -> Answer:
        return tasks(task(0, RUNNING, task_id=f"try-{next(looks)}"))

    scheduler.on(RestartShards, ok())
    scheduler.on(GetTasksWithoutConfigs, active(0, 1, watched=flapping))
    ran = aurora("job", "restart", KEY)
    assert ran.code == 4
    assert " INFO] Instance 0 is unhealthy\n" in ran.err
    assert " INFO] 1 failed instances observed, maximum allowed is 0\n" in ran.err
    assert " INFO] Restart failures threshold reached. Aborting\n" in ran.err
    assert len(scheduler.of(RestartShards)) == 1


def test_failures_that_are_put_up_with_go_to_the_end_of_the_queue(aurora: Runner, scheduler: FakeScheduler) -> None:
    ids = iter(["a", "b"])

    def once(call: Any) -> Answer:
        return tasks(*(task(i, RUNNING, task_id=next(ids, "c") if i == 0 else "x") for i in call.query.instance_ids))

    scheduler.on(RestartShards, ok())
    scheduler.on(GetTasksWithoutConfigs, active(0, 1, watched=once))
    ran = aurora("job", "restart", "--max-per-instance-failures=1", "--watch-secs=1", KEY)
    assert ran.code == 0
    assert [sorted(call.shard_ids) for call in scheduler.of(RestartShards)] == [[0], [1], [0]]


def test_only_the_instances_named_are_restarted_together(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(RestartShards, ok())
    scheduler.on(GetTasksWithoutConfigs, active(0, 1, 2, watched=healthy))
    aurora("job", "restart", "--batch-size=2", "--watch-secs=1", f"{KEY}/0,2")
    assert scheduler.of(RestartShards) == [RestartShards(HELLO, frozenset({0, 2}))]


def test_nothing_to_restart_is_fine(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks())
    ran = aurora("job", "restart", KEY)
    assert (ran.code, scheduler.of(RestartShards)) == (0, [])
    assert ran.err.endswith(" INFO] Nothing to do.\n")


def test_a_refused_restart_is_status_10(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(RestartShards, refused("Not all requested shards are active."))
    scheduler.on(GetTasksWithoutConfigs, active(0, watched=healthy))
    ran = aurora("job", "restart", KEY)
    assert ran.code == 10
    assert ran.err.endswith(f"Error restarting job {KEY}:\n\tNot all requested shards are active.\n")


def test_bad_numbers_and_strictness(aurora: Runner, scheduler: FakeScheduler) -> None:
    ran = aurora("job", "restart", "--max-total-failures=-1", KEY)
    assert (ran.code, ran.err) == (6, "max_total_failures option must be >0, but you specified -1\n")
    scheduler.on(GetTasksWithoutConfigs, active(0, watched=healthy))
    assert aurora("job", "restart", "--strict", f"{KEY}/5").err == "Invalid instance parameter: [5]\n"


def test_a_job_file_after_the_key_is_read(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    scheduler.on(GetTasksWithoutConfigs, tasks())
    assert aurora("job", "restart", KEY, job_file).code == 0
    job_file.write_text("jobs = [")
    assert aurora("job", "restart", KEY, job_file).code == 3
