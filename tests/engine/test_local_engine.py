"""The local engine with real processes; what the executors do is a stand-in."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from aurorad.engine import executor_api as api
from aurorad.engine.base import Registered, Rescind, StatusUpdate, TaskState
from aurorad.engine.local.capacity import amounts, from_resources
from aurorad.engine.local.engine import LAUNCHER
from aurorad.engine.local.home import WorkDirInUse
from aurorad.engine.local.live import Patience
from aurorad.engine.local.oversight import Restarts
from aurorad.engine.local.processes import lives, wait_for_end
from executor.agent_link import AgentGone, AgentLink, Settings
from tests.engine.rig import LIMIT_S, Rig, end_leftovers, now_ms, running, task

STARTING, RUNNING, FINISHED = TaskState.TASK_STARTING, TaskState.TASK_RUNNING, TaskState.TASK_FINISHED
FAILED, KILLED, LOST = TaskState.TASK_FAILED, TaskState.TASK_KILLED, TaskState.TASK_LOST

HELLO = {"name": "hello", "cmdline": "echo hello; echo $HOME; sleep 1000"}
NONE = Restarts(most=0)


@pytest.fixture
def work_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "work"
    end_leftovers(tmp_path / "work")


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def executor_ended(rig: Rig, task_id: str) -> None:
    with trio.fail_after(LIMIT_S):
        await wait_for_end(rig.executor(task_id))


async def test_a_task_goes_from_starting_over_running_to_finished_and_all_is_offered_again(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        first = await rig.offer()
        await rig.launch("t-1", cpus=2)
        await rig.update("t-1", FINISHED)
        await rig.until(lambda e: True if isinstance(e, Rescind) else None)
        assert from_resources((await rig.offer_with(cpus=4)).resources) == from_resources(first.resources)
        assert rig.states("t-1") == ["STARTING", "RUNNING", "FINISHED"]
        assert isinstance(rig.events[0], Registered)


async def test_observer_and_clients_find_the_run_where_mesos_puts_it(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1")
        update = await rig.update("t-1", FINISHED)
        directory = rig.run_directory("t-1")
        registered = rig.events[0]
        assert isinstance(registered, Registered)
        expected = f"slaves/{update.agent_id}/frameworks/{registered.framework_id}/executors/thermos-t-1/runs/latest"
        assert directory == work_dir / "agent" / expected
        assert {"sandbox", "stdout", "stderr", "executor.log"} <= {path.name for path in directory.iterdir()}
        assert (directory / "stderr").read_text() == ""


async def test_nobody_else_may_look_into_the_folders(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.offer()
        mode = 0o711 if os.geteuid() == 0 else 0o700
        assert [path.stat().st_mode & 0o777 for path in (work_dir, work_dir / "agent")] == [mode, mode]
        assert (work_dir / "agent/agent.sock").stat().st_mode & 0o777 == 0o600


async def test_a_killed_task_ends_as_killed(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
        sleeper = rig.sleeper("t-1")
        await rig.engine.kill("t-1")
        update = await rig.update("t-1", KILLED)
        await executor_ended(rig, "t-1")
        assert update.message == "Instructed to kill task."
        assert not is_running(sleeper)


async def test_a_kill_right_behind_the_launch_is_not_lost(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.engine.kill("t-1")
        await rig.update("t-1", KILLED)
        await rig.offer_with(cpus=4)


async def test_an_executor_that_ignores_a_kill_is_killed_with_all_it_started(work_dir: Path) -> None:
    async with running(work_dir, patience=Patience(to_kill=0.2)) as rig:
        await rig.launch("t-1", sleep=1000, refuse=True)
        await rig.update("t-1", RUNNING)
        await rig.engine.kill("t-1")
        update = await rig.update("t-1", KILLED)
        assert update.message is not None
        assert update.message.startswith("Executor did not end the task within 0.2 s and was killed.")
        assert not is_running(rig.sleeper("t-1"))
        assert not lives(rig.executor("t-1"))


async def test_an_unknown_task_is_lost_when_killed_or_asked_for(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.offer()
        await rig.engine.kill("t-1")
        await rig.engine.reconcile(("t-2",))
        assert (await rig.update("t-1", LOST)).uuid is None
        assert (await rig.update("t-2", LOST)).uuid is None


async def test_reconciling_all_tells_of_every_live_task(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
        rig.events.clear()
        await rig.engine.reconcile(())
        assert (await rig.update("t-1", RUNNING)).reason == "REASON_RECONCILIATION"
        await rig.engine.stop_all_tasks()


async def test_a_restarted_engine_finds_its_task_running_and_its_end_is_told_once(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", cpus=2, sleep=1000)
        await rig.update("t-1", RUNNING)
        executor, sleeper = rig.executor("t-1"), rig.sleeper("t-1")
    assert lives(executor)
    async with running(work_dir) as rig:
        assert from_resources((await rig.offer()).resources).scalars["cpus"] == 1.75
        assert (rig.executor("t-1"), rig.sleeper("t-1")) == (executor, sleeper)
        os.kill(sleeper, signal.SIGTERM)
        await rig.update("t-1", FINISHED)
        await executor_ended(rig, "t-1")
        await rig.offer_with(cpus=4)
        assert rig.states("t-1") == ["FINISHED"]
    async with running(work_dir) as rig:
        await rig.offer_with(cpus=4)
        assert rig.states("t-1") == []


async def test_a_task_that_ends_while_no_engine_runs_is_told_to_the_next(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
        executor, sleeper = rig.executor("t-1"), rig.sleeper("t-1")
    os.kill(sleeper, signal.SIGTERM)
    async with running(work_dir) as rig:
        await rig.update("t-1", FINISHED)
        with trio.fail_after(LIMIT_S):
            await wait_for_end(executor)
        await rig.offer_with(cpus=4)
        assert rig.states("t-1") == ["FINISHED"]


async def test_executors_get_the_arguments_that_the_engine_was_given(work_dir: Path) -> None:
    async with running(work_dir, restarts=NONE, executor_arguments=("--no-such-flag",)) as rig:
        await rig.launch("t-1")
        await rig.update("t-1", LOST)
        errors = rig.run_directory("t-1") / "stderr"
        text = "aurorad -role=executor: unknown flag --no-such-flag: -help lists those there are\n"
        assert errors.read_text() == text


async def test_an_end_that_cannot_be_written_down_is_told_and_told_again_by_the_next_engine(work_dir: Path) -> None:
    async with running(work_dir, restarts=NONE) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
        updates = work_dir / "agent/meta" / rig.run_directory("t-1").readlink().name / "updates"
        updates.rename(updates.with_name("elsewhere"))
        updates.mkdir()
        os.kill(rig.executor("t-1").pid, signal.SIGKILL)
        assert (await rig.update("t-1", LOST)).uuid is None
        await rig.offer_with(cpus=4)
    updates.rmdir()
    updates.with_name("elsewhere").rename(updates)
    async with running(work_dir, restarts=NONE) as rig:
        assert (await rig.update("t-1", LOST)).uuid is not None


async def test_an_end_that_cannot_be_written_down_for_long_is_told_once_it_can(
    work_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
    async with running(work_dir, patience=Patience(to_subscribe=2)) as rig:
        await rig.offer()
        updates = work_dir / "agent/meta" / rig.run_directory("t-1").readlink().name / "updates"
        updates.rename(updates.with_name("elsewhere"))
        updates.mkdir()
        os.kill(rig.sleeper("t-1"), signal.SIGTERM)
        await trio.sleep(4)
        assert rig.states("t-1") == []
        assert caplog.text.count("cannot write down an update of task t-1") == 1
        updates.rmdir()
        updates.with_name("elsewhere").rename(updates)
        await rig.update("t-1", FINISHED)


async def test_the_death_of_the_launcher_touches_no_task_and_another_takes_its_place(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
        launcher = rig.engine.launcher_pid
        assert launcher is not None
        os.kill(launcher, signal.SIGKILL)
        await rig.launch("t-2", sleep=1000)
        await rig.update("t-2", RUNNING)
        assert rig.engine.launcher_pid != launcher
        assert rig.states("t-1") == ["STARTING", "RUNNING"]
        assert lives(rig.executor("t-1"))
        await rig.engine.stop_all_tasks()


async def test_updates_are_sent_again_after_a_restart_until_acknowledged(work_dir: Path) -> None:
    async with running(work_dir, acknowledging=False) as rig:
        await rig.launch("t-1")
        first = await rig.update("t-1", FINISHED)
        await executor_ended(rig, "t-1")
    async with running(work_dir) as rig:
        again = await rig.update("t-1", FINISHED)
        assert again == first
        assert rig.states("t-1") == ["STARTING", "RUNNING", "FINISHED"]
        await rig.offer_with(cpus=4)
    async with running(work_dir) as rig:
        await rig.offer()
        assert rig.states("t-1") == []


async def test_no_more_is_launched_than_there_is(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        offer = await rig.offer()
        tasks = tuple(task(offer.agent_id, f"t-{n}", cpus=1, sleep=1000) for n in range(4))
        await rig.engine.launch(offer.id, tasks, 0)  # 4 tasks and 4 executors: 5 of 4 CPUs
        refused = await rig.update("t-3", LOST)
        assert refused.message == "Task uses more resources than available: cpus"
        for n in range(3):
            await rig.update(f"t-{n}", RUNNING)
        rest = await rig.offer_with(cpus=0.25)
        assert from_resources(rest.resources).scalars["cpus"] <= 4
        await rig.engine.stop_all_tasks()


async def test_a_port_is_given_once(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", ports=(31003,), sleep=1000)
        await rig.update("t-1", RUNNING)
        await rig.launch("t-2", ports=(31003,))
        assert (await rig.update("t-2", LOST)).message == "Task uses more resources than available: ports"
        assert 31003 not in from_resources((await rig.offer()).resources).ports
        await rig.engine.stop_all_tasks()


async def test_an_offer_that_was_replaced_still_serves_what_fits(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        old = await rig.offer()
        await rig.engine.launch(old.id, (task(old.agent_id, "t-1", sleep=1000),), 0)
        await rig.update("t-1", RUNNING)
        await rig.engine.launch(old.id, (task(old.agent_id, "t-2", sleep=1000),), 0)
        await rig.update("t-2", RUNNING)
        await rig.engine.stop_all_tasks()


@pytest.mark.parametrize(
    ("task_id", "state", "message"),
    [
        ("../../etc", FAILED, "Task id or executor id is not a name of at most 255 letters, digits, - and _"),
        ("x" * 300, FAILED, "Task id or executor id is not a name of at most 255 letters, digits, - and _"),
    ],
)
async def test_a_task_id_that_is_no_file_name_is_refused(
    work_dir: Path, task_id: str, state: TaskState, message: str
) -> None:
    async with running(work_dir) as rig:
        await rig.launch(task_id)
        assert (await rig.update(task_id, state)).message == message


async def test_an_offer_of_nobodys_is_refused(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        offer = await rig.offer()
        await rig.engine.launch("O1", (task(offer.agent_id, "t-1"),), 0)
        refused = await rig.update("t-1", LOST)
        assert refused.message == "Task launched with invalid offers: Offer O1 is no longer valid"


async def test_a_directory_that_cannot_be_written_loses_the_task_and_nothing_else(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.offer()
        (work_dir / "agent/slaves").write_text("in the way")
        await rig.launch("t-1")
        assert "Cannot write the run directory" in ((await rig.update("t-1", LOST)).message or "")
        (work_dir / "agent/slaves").unlink()
        rig.events.clear()
        await rig.launch("t-2")
        await rig.update("t-2", FINISHED)


async def test_an_executor_without_its_token_is_not_believed(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
        registered = rig.events[0]
        assert isinstance(registered, Registered)
        endpoint = f"unix:{work_dir}/agent/agent.sock"
        impostor = Settings(registered.framework_id, "thermos-t-1", endpoint, "guessed", checkpoint=True)
        send, _receive = trio.open_memory_channel[api.Event](0)
        with pytest.raises(AgentGone, match="answered SUBSCRIBE with 401"):
            await AgentLink(impostor, now_ms, random.Random(1)).run(send)
        await rig.engine.stop_all_tasks()


async def test_a_real_executor_runs_a_real_task(work_dir: Path) -> None:
    async with running(work_dir, launcher=LAUNCHER) as rig:
        await rig.launch_job("t-1", {"name": "task", "processes": [HELLO]})
        await rig.update("t-1", RUNNING)
        assert (rig.run_directory("t-1") / "checkpoints/tasks/active/t-1").exists()
        await rig.engine.kill("t-1")
        await rig.update("t-1", KILLED)
        assert (rig.run_directory("t-1") / "checkpoints/tasks/finished/t-1").exists()


async def test_a_second_engine_on_the_same_work_dir_is_refused(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.offer()
        with pytest.raises(ExceptionGroup) as caught:
            async with running(work_dir):
                await trio.sleep_forever()
        assert caught.value.subgroup(WorkDirInUse) is not None


async def test_stopping_all_tasks_ends_them_and_starts_no_more(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.launch("t-2", sleep=1000)
        await rig.update("t-1", RUNNING)
        await rig.update("t-2", RUNNING)
        sleepers = [rig.sleeper("t-1"), rig.sleeper("t-2")]
        offer = await rig.offer()
        with trio.fail_after(LIMIT_S):
            await rig.engine.stop_all_tasks()
        assert (await rig.update("t-1", KILLED)).message == "Told to shut down executor."
        assert not any(is_running(pid) for pid in sleepers)
        await rig.engine.launch(offer.id, (task(offer.agent_id, "t-3"),), 0)
        await rig.update("t-3", LOST)


async def test_stopping_all_tasks_waits_for_no_one_who_refuses(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000, refuse=True)
        await rig.update("t-1", RUNNING)
        with trio.fail_after(LIMIT_S):
            await rig.engine.stop_all_tasks(grace_s=0.1)
        assert not is_running(rig.sleeper("t-1"))


async def test_runs_that_ended_long_ago_are_removed(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1")
        await rig.launch("t-2", sleep=1000)
        await rig.update("t-1", FINISHED)
        await rig.update("t-2", RUNNING)
        await executor_ended(rig, "t-1")
        await rig.offer_with(cpus=2.75)
        directory = trio.Path(rig.run_directory("t-1"))
    async with running(work_dir, gc_delay_s=-1) as rig:  # what ended a moment ago is long ago
        with trio.fail_after(LIMIT_S):
            await rig.engine.garbage.collected.wait()
        assert not await directory.exists()
        assert lives(rig.executor("t-2"))
        await rig.engine.stop_all_tasks()


async def test_a_declined_offer_stays_away_until_more_is_free(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
        offer = await rig.offer_with(cpus=2.75)
        await rig.engine.decline((await rig.offer()).id, 10000)
        rig.events.clear()
        await rig.engine.kill("t-1")
        again = await rig.offer_with(cpus=4)
        assert again.id != offer.id


async def test_a_work_dir_with_a_long_path_works(work_dir: Path) -> None:
    async with running(work_dir / ("long" * 30)) as rig:
        await rig.launch("t-1")
        await rig.update("t-1", FINISHED)


async def test_an_executor_that_never_connects_is_killed_and_its_task_lost(work_dir: Path) -> None:
    async with running(work_dir) as rig:
        await rig.launch("t-1", sleep=1000)
        await rig.update("t-1", RUNNING)
        executor = rig.executor("t-1")
        os.kill(executor.pid, signal.SIGSTOP)
    async with running(work_dir, patience=Patience(to_subscribe=0.2)) as rig:
        update = await rig.update("t-1", LOST)
        assert "did not connect within 0.2 s" in (update.message or "")
        assert not lives(executor)


async def test_an_update_without_acknowledgement_is_sent_again(work_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aurorad.engine.local.engine.RESEND_S", (0.1, 600.0))
    monkeypatch.setattr("aurorad.engine.local.live.RESEND_S", (0.1, 600.0))
    async with running(work_dir, machine=amounts({"cpus": 2, "mem": 100}), acknowledging=False) as rig:
        await rig.launch("t-1")
        first = await rig.update("t-1", FINISHED)
        seen = len(rig.events)
        again = await rig.until(
            lambda e: e if isinstance(e, StatusUpdate) and e.uuid == first.uuid and e in rig.events[seen:] else None
        )
        assert again == first
