"""What becomes of a task whose executor dies, with real executors and real processes."""

import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trio

from aurorad.engine.base import ExecutorLost, TaskState
from aurorad.engine.local.engine import LAUNCHER
from aurorad.engine.local.live import Patience
from aurorad.engine.local.oversight import Restarts
from aurorad.engine.local.processes import Identity, lives, wait_for_end
from aurorad.engine.local.runs import Line, Run, Runs
from executor import checkpoint
from executor.checkpoint import ProcessState
from executor.execution import wall_clock_ms
from executor.offline import kill_task
from executor.paths import CHECKPOINTS, TaskPaths
from tests.engine.rig import REPOSITORY, Rig, end_leftovers, running, task
from tests.waiting import until

STARTING, RUNNING, FINISHED = TaskState.TASK_STARTING, TaskState.TASK_RUNNING, TaskState.TASK_FINISHED
KILLED, LOST = TaskState.TASK_KILLED, TaskState.TASK_LOST
SLEEP = {"name": "sleep", "cmdline": "echo $$ >> pids; echo up > up; exec sleep 1000", "min_duration": 0}
GATE = {"name": "gate", "cmdline": "echo $$ >> pids; until test -e gate; do sleep 0.02; done", "min_duration": 0}


@pytest.fixture
def work_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "work"
    end_leftovers(tmp_path / "work")


def sandbox(rig: Rig) -> Path:
    return rig.run_directory("t-1") / "sandbox"


def pids(rig: Rig) -> list[int]:
    """Of the shells that the task's processes were started as, one after the other."""
    file = sandbox(rig) / "pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def paths(rig: Rig) -> TaskPaths:
    return TaskPaths(rig.run_directory("t-1") / CHECKPOINTS, "t-1")


def story(rig: Rig) -> checkpoint.RunnerState:
    return checkpoint.replay(checkpoint.read_stream(paths(rig).runner), recovering=False)


async def ready(rig: Rig, process: Mapping[str, object] = SLEEP) -> Identity:
    """A task that runs, with its process on record."""
    await rig.launch_job("t-1", {"name": "task", "processes": [process]})
    await rig.update("t-1", RUNNING)
    await until(lambda: pids(rig) and story(rig).processes and last_run(rig).state == ProcessState.RUNNING)
    return rig.executor("t-1")


def last_run(rig: Rig) -> checkpoint.ProcessStatus:
    ((*_, run),) = story(rig).processes.values()
    return run


async def kill_executor(rig: Rig) -> Identity:
    """The executor that takes over."""
    dead = rig.executor("t-1")
    os.kill(dead.pid, signal.SIGKILL)
    await until(lambda: rig.executor("t-1") != dead)
    return rig.executor("t-1")


async def test_another_executor_takes_over_and_neither_task_nor_scheduler_notices(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        await ready(rig, GATE)
        await kill_executor(rig)
        await until(lambda: len(story(rig).statuses) == 2)  # it has control
        (sandbox(rig) / "gate").touch()
        await rig.update("t-1", FINISHED)
        assert rig.states("t-1") == ["STARTING", "RUNNING", "FINISHED"]
        assert len(pids(rig)) == 1
        assert [run.state.name for run in story(rig).processes["gate"]] == ["SUCCESS"]
        assert not any(isinstance(event, ExecutorLost) for event in rig.events)
        await rig.offer_with(cpus=4)


async def test_a_task_goes_on_whenever_its_executors_die(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        await ready(rig, GATE)
        for _ in range(4):
            await kill_executor(rig)
        (sandbox(rig) / "gate").touch()
        await rig.update("t-1", FINISHED)
        assert rig.states("t-1") == ["STARTING", "RUNNING", "FINISHED"]
        assert len(pids(rig)) == 1


async def test_an_executor_that_dies_before_it_got_its_task_is_replaced_by_one_that_gets_it(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        await rig.launch_job("t-1", {"name": "task", "processes": [SLEEP]})
        await until(lambda: list(work_dir.glob("agent/meta/*/executor*")))
        await kill_executor(rig)
        await rig.update("t-1", RUNNING)
        assert rig.states("t-1")[-1] == "RUNNING"
        assert rig.states("t-1").count("STARTING") <= 1
        await rig.engine.stop_all_tasks()


async def test_when_an_executor_dies_while_no_engine_runs_the_next_engine_starts_another(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        executor = await ready(rig, GATE)
    os.kill(executor.pid, signal.SIGKILL)
    async with running(work_dir, launcher=LAUNCHER) as rig:
        await until(lambda: rig.executor("t-1") != executor)
        (sandbox(rig) / "gate").touch()
        await rig.update("t-1", FINISHED)
        assert rig.states("t-1") == ["FINISHED"]
        assert len(pids(rig)) == 1


async def test_an_engine_that_dies_right_after_starting_another_executor_is_followed_by_one_that_finds_it(
    work_dir: Path,
) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        await ready(rig, GATE)
        second = await kill_executor(rig)
    async with running(work_dir, launcher=LAUNCHER) as rig:
        (sandbox(rig) / "gate").touch()
        await rig.update("t-1", FINISHED)
        assert rig.executor("t-1") == second
        assert len(pids(rig)) == 1


async def test_an_executor_that_dies_too_often_takes_its_task_with_it_and_the_checkpoints_say_so(
    work_dir: Path,
) -> None:
    async with running(work_dir, launcher=LAUNCHER, restarts=Restarts(most=1)) as rig:
        await ready(rig)
        await kill_executor(rig)
        os.kill(rig.executor("t-1").pid, signal.SIGKILL)
        update = await rig.update("t-1", LOST)
        # One of the executor's own may be there still, or not.
        assert re.fullmatch(
            r"Executor terminated, 2 times within 600 s: no other one is started "
            r"\([23] processes left of it were killed\).*",
            update.message or "",
        )
        assert update.reason == "REASON_EXECUTOR_TERMINATED"
        assert not is_running(pids(rig)[0])
        assert story(rig).statuses[-1].state == checkpoint.TaskState.LOST
        assert last_run(rig).state == ProcessState.LOST
        assert paths(rig).finished.exists()
        await rig.until(lambda e: True if isinstance(e, ExecutorLost) else None)
        await rig.offer_with(cpus=4)


async def test_how_often_executors_died_outlives_the_engine(work_dir: Path) -> None:
    once = Restarts(most=1)
    async with running(work_dir, launcher=LAUNCHER, restarts=once) as rig:
        await ready(rig)
        executor = await kill_executor(rig)
    os.kill(executor.pid, signal.SIGKILL)
    async with running(work_dir, launcher=LAUNCHER, restarts=once) as rig:
        await rig.update("t-1", LOST)


async def test_a_kill_that_finds_the_executor_dead_still_ends_the_task_in_good_order(work_dir: Path) -> None:
    patient = {"name": "patient", "cmdline": "trap 'echo bye > bye; exit' TERM; echo $$ > pids; sleep 1000 & wait"}
    async with running(work_dir, launcher=LAUNCHER) as rig:
        executor = await ready(rig, patient)
        os.kill(executor.pid, signal.SIGKILL)
        await rig.engine.kill("t-1")
        assert (await rig.update("t-1", KILLED)).message == "Instructed to kill task."
        assert (sandbox(rig) / "bye").exists()
        assert story(rig).statuses[-1].state == checkpoint.TaskState.KILLED


async def test_no_executor_takes_over_while_all_tasks_are_stopped(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        executor = await ready(rig, {"name": "stubborn", "cmdline": "trap '' TERM; echo $$ > pids; sleep 1000"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.engine.stop_all_tasks)
            await until(lambda: len(story(rig).statuses) == 2)  # CLEANING: it was told
            os.kill(executor.pid, signal.SIGKILL)
        update = await rig.update("t-1", KILLED)
        assert (update.message or "").startswith("Executor terminated while it was told to shut down")
        assert not is_running(pids(rig)[0])
        assert story(rig).statuses[-1].state == checkpoint.TaskState.KILLED


async def test_what_thermos_kill_ended_is_killed_and_not_lost(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        await ready(rig)
        await trio.to_thread.run_sync(kill_task, paths(rig), wall_clock_ms)
        assert (await rig.update("t-1", KILLED)).message == "Task killed."
        assert rig.states("t-1") == ["STARTING", "RUNNING", "KILLED"]
        assert not is_running(pids(rig)[0])


async def test_what_ended_with_the_machine_is_lost(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        executor = await ready(rig)
        run = rig.run_directory("t-1").readlink().name
    os.kill(executor.pid, signal.SIGKILL)
    claim = work_dir / "agent/meta" / run / "executor"
    claim.unlink()
    claim.symlink_to(f"{executor.pid} {executor.start_ticks} another-boot")
    async with running(work_dir, launcher=LAUNCHER) as rig:
        update = await rig.update("t-1", LOST)
        assert (update.message or "").startswith("Executor terminated with the machine, which was started anew")
        assert story(rig).statuses[-1].state == checkpoint.TaskState.LOST


async def test_a_task_whose_directory_is_gone_with_its_executor_is_lost(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        executor = await ready(rig)
        directory = rig.run_directory("t-1").resolve()
        directory.rename(directory.with_name("elsewhere"))
        os.kill(executor.pid, signal.SIGKILL)
        update = await rig.update("t-1", LOST)
        assert (update.message or "").startswith("Executor terminated and its directory was removed")


@pytest.mark.parametrize("possible", [0, 1])
async def test_where_no_process_can_be_forked_the_task_does_not_start_and_all_else_goes_on(
    work_dir: Path, possible: int
) -> None:
    """`possible`: how many forks a process can make before it is full."""
    full = (
        f"fork, left = os.fork, [None] * {possible}",
        "def fork_or_fail():",
        "    if not left: raise BlockingIOError(11, 'Resource temporarily unavailable')",
        "    left.pop()",
        "    return fork()",
        "os.fork = fork_or_fail",
    )
    program = (f"import os, sys; sys.path.insert(0, {str(REPOSITORY)!r})", *full, "from executor.launcher import *")
    launcher = (sys.executable, "-c", "\n".join((*program, "serve(Execution)")))
    async with running(work_dir, launcher=launcher) as rig:
        for number in range(2):
            await rig.launch_job(f"t-{number}", {"name": "task", "processes": [SLEEP]})
            assert (await rig.update(f"t-{number}", LOST)).message == (
                "Executor could not be started: cannot fork: [Errno 11] Resource temporarily unavailable"
            )
        await rig.offer_with(cpus=4)


async def test_an_executor_that_was_called_off_cannot_come_late(work_dir: Path) -> None:
    """Its launcher is stopped, and goes on when another executor of the run is long at work."""
    async with running(work_dir, launcher=LAUNCHER, patience=Patience(to_start=5.0)) as rig:
        executor = await ready(rig, GATE)
        launcher = rig.engine.launcher_pid
        assert launcher is not None
        os.kill(launcher, signal.SIGSTOP)
        os.kill(executor.pid, signal.SIGKILL)
        meta = work_dir / "agent/meta" / rig.run_directory("t-1").readlink().name
        place = meta / "executor.1"
        await until(place.is_symlink)
        assert place.readlink().name.startswith("0 ")
        os.kill(launcher, signal.SIGCONT)
        await until(lambda: rig.executor("t-1") != executor)
        (sandbox(rig) / "gate").touch()
        await rig.update("t-1", FINISHED)
        assert rig.states("t-1") == ["STARTING", "RUNNING", "FINISHED"]
        assert len(pids(rig)) == 1


async def test_an_executor_of_a_run_is_waited_for(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        executor = await ready(rig)
        assert lives(executor)
        await rig.engine.stop_all_tasks()
        await wait_for_end(executor)


@pytest.mark.parametrize(
    ("before_s", "pause_s"),
    [
        ([], 0.0),
        ([0], 1.0),
        ([0, 1], 2.0),
        ([0, 1, 3], 4.0),
        ([0, 1, 3, 7], 8.0),
        ([0, 1, 3, 7, 15], None),
        ([-5000, -4000, -3000, -2000, -1000], 0.0),
        ([-5000, -4000, -3000, 0, 1], 2.0),
        ([5000], 1.0),  # the clock was set back
    ],
)
def test_pauses_grow_until_it_was_too_often(before_s: list[int], pause_s: float | None) -> None:
    assert Restarts().pause([at * 1000 for at in before_s], now_ms=20_000) == pause_s


def test_restarts_are_kept_with_the_run_and_number_its_executors(tmp_path: Path) -> None:
    runs, run = Runs(tmp_path), Run("run-1", "f-1", "a-1", "secret", task("a-1", "t-1"))
    runs.create([run])
    for at_ms in (1, 2):
        runs.append(run, Line(restarted_ms=at_ms), durably=False)
    (known,) = runs.load()
    assert known.restarts_ms == (1, 2)
    assert runs.identity_file(run, 2).name == "executor.2"
