"""Our executor under real agents: theirs to start, to ask, to lose and to find again."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from aurorad import procfs
from aurorad.engine.base import StatusUpdate, TaskState
from tests.mesos.framework import LIMIT_S, ROLE, Launched, framework
from tests.mesos.rig import Rig
from tests.mesos.workers import MesosWorkers, mesos_workers

pytestmark = [
    pytest.mark.real_mesos,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root's agents run tasks as other users"),
]

T = TaskState
WAITS = "echo $$ > pid; echo run >> runs; exec sleep 1000"


@pytest.fixture(scope="module")
def workers() -> Iterator[MesosWorkers]:
    recovery = ("--agent-flag=recovery_timeout=4secs", "--master-flag=max_agent_ping_timeouts=60")
    with mesos_workers(*recovery, observed=False) as made:
        yield made


@pytest.fixture
def rig(workers: MesosWorkers) -> Rig:
    return workers.rig


@pytest.fixture
def executor(workers: MesosWorkers) -> Path:
    return workers.rig.folder / "thermos_executor"


def is_alive(pid: int) -> bool:
    found = procfs.info(pid)
    return found is not None and not found.zombie


async def until(holds: Callable[[], bool]) -> None:
    """Something that another process does and nobody announces."""
    with trio.fail_after(LIMIT_S):
        while not holds():  # noqa: ASYNC110 - another process's doing
            await trio.sleep(0.05)


async def stop(rig: Rig, task: Launched) -> None:
    await trio.to_thread.run_sync(rig.kill, task.agent.name)


async def start(rig: Rig, task: Launched) -> None:
    await trio.to_thread.run_sync(rig.revive, task.agent.name)


async def test_a_task_runs_as_its_role_in_a_sandbox_it_can_reach(rig: Rig, executor: Path) -> None:
    async with framework(rig, executor) as it:
        task = await it.launch(
            'id -un > $HOME/who; cd /; echo "$(cat $HOME/who $HOME/../sandbox/who)" > $HOME/twice; sleep 1000'
        )
        assert await task.wrote("twice") == f"{ROLE}\n{ROLE}\n"
        assert task.sandbox.owner() == ROLE
        assert stat.S_IMODE(task.sandbox.stat().st_mode) == 0o700
        assert task.directory.owner() == "root"
        assert not task.directory.stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO)
        assert (task.directory / "checkpoints/tasks/active" / task.id).exists()


async def test_an_agent_that_comes_back_finds_its_tasks_and_what_they_had_to_say(rig: Rig, executor: Path) -> None:
    async with framework(rig, executor) as it:
        staying = await it.launch(WAITS)
        ending = await it.launch("echo $$ > pid; while ! [ -e end ]; do sleep 0.05; done")
        killed = await it.launch(WAITS)
        pids = await staying.pid(), await killed.pid()
        agents = {task.agent.name: task for task in (staying, ending, killed)}
        await it.engine.suppress()
        for task in agents.values():
            await stop(rig, task)
        (ending.sandbox / "end").touch()
        await until(lambda: ending.is_over)
        for task in agents.values():
            await start(rig, task)
        await it.update(ending.id, T.TASK_FINISHED)
        await it.engine.kill(killed.id)
        await it.update(killed.id, T.TASK_KILLED)
        await it.engine.reconcile((staying.id,))
        assert it.states(ending.id) == ["STARTING", "RUNNING", "FINISHED"]
        assert it.states(killed.id) == ["STARTING", "RUNNING", "KILLED"]
        assert it.states(staying.id) == ["STARTING", "RUNNING"]
        assert [is_alive(pid) for pid in pids] == [True, False]
        assert (staying.sandbox / "runs").read_text() == "run\n"


async def test_an_update_that_nobody_acknowledged_survives_the_agent(rig: Rig, executor: Path) -> None:
    async with framework(rig, executor) as it:
        task = await it.launch("while ! [ -e end ]; do sleep 0.05; done")
        it.is_acknowledging = False
        (task.sandbox / "end").touch()
        first = await it.update(task.id, T.TASK_FINISHED)
        it.events.clear()
        it.is_acknowledging = True
        await stop(rig, task)
        await start(rig, task)
        again = await it.update(task.id, T.TASK_FINISHED)
        assert again.uuid == first.uuid


async def test_if_no_agent_comes_back_the_executor_ends_its_task(rig: Rig, executor: Path) -> None:
    async with framework(rig, executor) as it:
        task = await it.launch(WAITS)
        pid = await task.pid()
        await stop(rig, task)
        assert is_alive(pid)
        await until(lambda: task.is_over)
        assert not is_alive(pid)
        assert "no agent for 4 s" in task.log()
        await start(rig, task)
        await it.until(
            lambda e: (isinstance(e, StatusUpdate) and e.task_id == task.id and e.state is not T.TASK_RUNNING) or None
        )


async def test_without_checkpoints_an_executor_does_not_outlive_its_agent(rig: Rig, executor: Path) -> None:
    async with framework(rig, executor, checkpoint=False) as it:
        task = await it.launch(WAITS)
        pid = await task.pid()
        await stop(rig, task)
        await until(lambda: not is_alive(pid))
        await start(rig, task)


async def test_an_agent_that_wants_an_executor_to_end_leaves_it_time_for_its_task(rig: Rig, executor: Path) -> None:
    async with framework(rig, executor) as it:
        task = await it.launch("trap 'echo asked > asked; exit 0' TERM; echo $$ > pid; while :; do sleep 0.05; done")
        pid = await task.pid()
        await trio.to_thread.run_sync(rig.tear_down_frameworks)
        assert not is_alive(pid)
        assert (task.sandbox / "asked").read_text() == "asked\n"
        assert "Told to shut down executor." in task.log()


async def test_nothing_of_a_task_outlives_an_executor_that_is_killed(rig: Rig, executor: Path) -> None:
    async with framework(rig, executor) as it:
        task = await it.launch(
            "setsid sh -c 'echo $$ > daemon; exec env - sleep 1000' & echo $$ > pid; exec sleep 1000"
        )
        pids = await task.pid(), await task.pid("daemon")
        os.kill(executor_of(pids[0]), signal.SIGKILL)
        await it.update(task.id, T.TASK_FAILED)
        assert not any(map(is_alive, pids))
        assert task.is_over


def executor_of(pid: int) -> int:
    """Its coordinator's parent."""
    coordinator = procfs.info(pid)
    assert coordinator is not None
    found = procfs.info(coordinator.parent)
    assert found is not None
    return found.parent
