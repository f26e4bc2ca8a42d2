"""The life of tasks, end to end over a pretended engine."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aurorad.api import binary, keys
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, PartitionPolicy
from aurorad.engine.base import AgentLost, ExecutorLost, TaskState
from aurorad.flags import Flags
from aurorad.storage.transaction import Transaction
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import JOB, World, config, story, value

S = ScheduleStatus

TO_RUNNING = [(S.PENDING, None), (S.ASSIGNED, None), (S.STARTING, None), (S.RUNNING, None)]


async def test_a_job_comes_to_run(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        ids = await world.create(config(ports=("http", "admin")), 3)
        await world.until_count(S.RUNNING, 3)
        for instance, task_id in enumerate(ids):
            task = world.task(task_id)
            assert story(task) == TO_RUNNING
            assert task.assigned_task.slave_host == "host-1"
            assert task.assigned_task.slave_id == "agent-of-host-1"
            assert task.assigned_task.instance_id == instance
            assert set(task.assigned_task.assigned_ports) == {"http", "admin"}
        await trio.sleep(1)
        assert not world.engine.unacknowledged


async def test_the_engine_is_told_all_about_a_task(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(ports=("http",)))
        await world.until_status(task_id, S.RUNNING)
        info = world.engine.tasks[task_id].info
        task = world.task(task_id).assigned_task
        assert binary.decode(AssignedTask, info.data) == task
        assert info.name == "www-data/prod/web"
        assert info.source == "www-data.prod.web.0"
        assert info.executor_id == f"thermos-{task_id}"
        assert info.labels == (("org.apache.aurora.tier", "preemptible"),)
        assert {r.name: r.scalar for r in info.executor_resources} == {"cpus": 0.25, "mem": 128}
        port = task.assigned_ports["http"]
        assert {r.name: r.scalar or r.ranges for r in info.resources} == {
            "cpus": 0.5,
            "mem": 64,
            "disk": 64,
            "ports": ((port, port),),
        }


async def test_a_service_goes_on_whatever_ends_its_tasks(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        ids = await world.create(config(), 3)
        await world.until_count(S.RUNNING, 3)
        world.engine.status(ids[0], TaskState.TASK_FAILED, "exit 1", "REASON_COMMAND_EXECUTOR_FAILED")
        world.engine.status(ids[1], TaskState.TASK_FINISHED, "ok")
        world.engine.status(ids[2], TaskState.TASK_LOST, "gone")
        for task_id, last in zip(ids, [(S.FAILED, "exit 1"), (S.FINISHED, "ok"), (S.LOST, "gone")], strict=True):
            successor = await world.until_successor(task_id)
            running = await world.until_status(successor.assigned_task.task_id, S.RUNNING)
            assert story(world.task(task_id)) == [*TO_RUNNING, last]
            assert story(running) == [(S.PENDING, "Rescheduled"), *TO_RUNNING[1:]]
            assert running.assigned_task.instance_id == world.task(task_id).assigned_task.instance_id
            assert running.failure_count == (1 if last[0] is S.FAILED else 0)
        assert world.stats.get("status_update_REASON_COMMAND_EXECUTOR_FAILED_SUCCESS") == 1
        assert world.stats.get("tasks_LOST_www-data/prod/web") == 1


async def test_an_ad_hoc_task_that_finished_stays_so(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(service=False))
        await world.until_status(task_id, S.RUNNING)
        world.engine.status(task_id, TaskState.TASK_FINISHED)
        await world.until_status(task_id, S.FINISHED)
        assert len(world.tasks()) == 1


async def test_quick_failures_are_throttled_from_the_second_on(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config())
        messages = []
        for _ in range(4):
            await world.until_status(task_id, S.RUNNING)
            world.engine.status(task_id, TaskState.TASK_FAILED)
            successor = await world.until_successor(task_id)
            messages.append(story(successor)[0])
            task_id = successor.assigned_task.task_id
        assert messages == [
            (S.PENDING, "Rescheduled"),
            (S.THROTTLED, "Rescheduled, penalized for 30000 ms for flapping"),
            (S.THROTTLED, "Rescheduled, penalized for 60000 ms for flapping"),
            (S.THROTTLED, "Rescheduled, penalized for 120000 ms for flapping"),
        ]
        for task in world.tasks():
            if task.task_events[0].status is S.THROTTLED and len(task.task_events) > 1:
                waited_ms = task.task_events[1].timestamp - task.task_events[0].timestamp
                assert f"penalized for {waited_ms} ms" in str(task.task_events[0].message)


async def test_a_kill_ends_a_task_for_good(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config())
        await world.until_status(task_id, S.RUNNING)
        await world.kill(task_id)
        task = await world.until_status(task_id, S.KILLED)
        assert story(task)[4:] == [(S.KILLING, "Killed by UNSECURE"), (S.KILLED, "Instructed to kill task.")]
        assert world.engine.killed == [task_id]
        assert len(world.tasks()) == 1


async def test_killing_a_pending_task_removes_it(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(cpus=900))
        await world.kill(task_id)
        assert not world.tasks()
        await wait_all_tasks_blocked()
        assert not world.scheduler.pending_groups()
        assert not world.engine.killed


async def test_a_restart_ends_a_task_and_brings_another(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(service=False))
        await world.until_status(task_id, S.RUNNING)
        await world.change(task_id, S.RESTARTING, "Restarted by UNSECURE")
        successor = await world.until_successor(task_id)
        await world.until_status(successor.assigned_task.task_id, S.RUNNING)
        assert world.task(task_id).status is S.KILLED


async def test_a_kill_right_after_the_assignment_leaves_nothing_running(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config())
        await world.until(lambda: world.task(task_id).status is S.ASSIGNED)
        await world.kill(task_id)
        await world.until(lambda: world.task(task_id).status in (S.KILLED, S.LOST))
        await trio.sleep(10)
        assert not world.engine.live_tasks()
        assert len(world.tasks()) == 1


async def test_a_task_that_should_not_be_is_killed(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        world.engine.status("never-heard-of", TaskState.TASK_RUNNING)
        await trio.sleep(1)
        assert world.engine.killed == ["never-heard-of"]
        assert world.stats.get("scheduler_illegal_task_state_transitions") == 2
        assert not world.engine.unacknowledged
        assert not world.tasks()


async def test_kills_are_repeated_until_the_task_has_ended(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config())
        await world.until_status(task_id, S.RUNNING)
        world.engine.deaf = True
        await world.kill(task_id)
        await trio.sleep(50)
        assert 2 <= len(world.engine.killed) <= 4
        world.engine.deaf = False
        await world.until_status(task_id, S.KILLED)
        count = len(world.engine.killed)
        assert world.stats.get("task_kill_retries") == count - 1
        await trio.sleep(1000)
        assert len(world.engine.killed) == count


async def test_a_task_that_never_starts_is_lost_in_the_end_and_tried_again(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        world.engine.deaf = True
        (task_id,) = await world.create(config())
        await trio.sleep(1)
        assert world.task(task_id).status is S.ASSIGNED
        world.engine.deaf = False
        task = await world.until_status(task_id, S.LOST)
        assert story(task)[1:] == [(S.ASSIGNED, None), (S.LOST, "Task timed out")]
        assert (task.task_events[-1].timestamp - task.task_events[-2].timestamp) // 1000 == 300
        successor = await world.until_successor(task_id)
        await world.until_status(successor.assigned_task.task_id, S.RUNNING)
        assert world.stats.get("timed_out_tasks") == 1


@pytest.mark.parametrize(("policy", "waited_s"), [(None, 0), (PartitionPolicy(True, 40), 40)])
async def test_a_partitioned_task_is_given_up_when_its_policy_says(
    policy: PartitionPolicy | None, waited_s: int, autojump_clock: MockClock
) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(msgspec.structs.replace(config(), partition_policy=policy))
        await world.until_status(task_id, S.RUNNING)
        world.engine.status(task_id, TaskState.TASK_UNREACHABLE)
        task = await world.until_status(task_id, S.LOST)
        assert story(task)[4:] == [(S.PARTITIONED, None), (S.LOST, "Task partitioned for too long.")]
        assert (task.task_events[-1].timestamp - task.task_events[-2].timestamp) // 1000 == waited_s
        await world.until_successor(task_id)


async def test_a_partitioned_task_that_comes_back_is_not_given_up(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        policy = PartitionPolicy(True, 40)
        (task_id,) = await world.create(msgspec.structs.replace(config(), partition_policy=policy))
        await world.until_status(task_id, S.RUNNING)
        world.engine.status(task_id, TaskState.TASK_UNREACHABLE)
        await world.until_status(task_id, S.PARTITIONED)
        await trio.sleep(30)
        world.engine.status(task_id, TaskState.TASK_RUNNING)
        await trio.sleep(100)
        assert world.task(task_id).status is S.RUNNING


async def test_updates_wait_for_room_in_the_log_and_are_not_acknowledged_before(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(service=False))
        await world.until_status(task_id, S.RUNNING)
        world.log.full = True
        world.engine.status(task_id, TaskState.TASK_FINISHED)
        await trio.sleep(30)
        assert len(world.engine.unacknowledged) == 1
        assert world.task(task_id).status is S.RUNNING
        world.log.full = False
        await world.until_status(task_id, S.FINISHED)
        await trio.sleep(1)
        assert not world.engine.unacknowledged


async def test_placement_goes_on_when_the_log_has_room_again(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        ids = await world.create(config(), 3)
        world.log.full = True
        await trio.sleep(30)
        assert not world.engine.launches
        assert all(world.task(task_id).status is S.PENDING for task_id in ids)
        world.log.full = False
        await world.until_count(S.RUNNING, 3)
        assert len(world.engine.tasks) == 3


async def test_many_updates_are_one_write(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        ids = await world.create(config(cpus=0.01, service=False), 100)
        await world.until_count(S.RUNNING, 100)
        await trio.sleep(1)
        writes = len(world.log.entries)
        for task_id in ids:
            world.engine.status(task_id, TaskState.TASK_FINISHED)
        await world.until_count(S.FINISHED, 100)
        assert len(world.log.entries) <= writes + 3


async def test_old_tasks_are_forgotten(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config(service=False))
        await world.until_status(task_id, S.RUNNING)
        world.engine.status(task_id, TaskState.TASK_FINISHED)
        await world.until_status(task_id, S.FINISHED)
        await trio.sleep(48 * 3600 - 10)
        assert world.tasks()
        await trio.sleep(20)
        assert not world.tasks()
        assert world.stats.get("tasks_pruned") == 1


async def test_only_so_many_ended_tasks_of_a_job_are_kept_and_not_the_oldest(autojump_clock: MockClock) -> None:
    flags = Flags(history_max_per_job_threshold=3)
    async with World(PretendEngine(Agent("host-1")), flags).running() as world:
        ids = await world.create(config(service=False), 5)
        await world.until_count(S.RUNNING, 5)
        for task_id in ids:
            world.engine.status(task_id, TaskState.TASK_FINISHED)
            await trio.sleep(10)
        assert len(world.tasks()) == 5
        await trio.sleep(3590)
        assert {task.assigned_task.task_id for task in world.tasks()} == set(ids[2:])


async def test_the_framework_id_is_forgotten_if_the_operator_names_it(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(), Flags(forget_framework="framework-0")).serving() as world:
        for known, told in (("framework-0", "framework-1"), ("framework-2", "framework-2")):
            await world.storage.write(partial(Transaction.save_framework_id, framework_id=known))
            await world.start()
            assert world.tables.framework_id == told
            await world.stop()
            world.scope = trio.CancelScope()


async def test_the_framework_id_is_kept(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        assert world.tables.framework_id == "framework-1"
        assert world.stats.get("framework_registered") == 1
        world.engine.disconnect()
        await trio.sleep(1)
        assert world.stats.get("scheduler_framework_reregisters") == 1
        await world.create(config())
        await world.until_count(S.RUNNING, 1)


async def test_the_end_of_a_task_that_nobody_heard_of_is_found_when_the_engine_is_back(
    autojump_clock: MockClock,
) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        (task_id,) = await world.create(config())
        await world.until_count(S.RUNNING, 1)
        del world.engine.tasks[task_id]
        world.engine.disconnect()
        with trio.fail_after(60):
            await world.until_successor(task_id)


async def test_losses_of_agents_and_executors_are_counted(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        world.engine.tell(AgentLost("agent-of-host-1"))
        world.engine.tell(ExecutorLost("thermos-x", "agent-of-host-1", 0))
        world.engine.tell(ExecutorLost("thermos-y", "agent-of-host-1", 9))
        await trio.sleep(1)
        assert world.stats.get("slaves_lost") == 1
        assert world.stats.get("scheduler_lost_executors") == 1


async def test_losses_of_tasks_are_counted_by_job_rack_and_dedication(autojump_clock: MockClock) -> None:
    attributes = (("rack", "r1"), ("dedicated", "*/any"))
    only_here = (value("dedicated", "*/any"),)
    async with World(PretendEngine(Agent("host-1", attributes=attributes))).running() as world:
        ids = await world.create(config(service=False, constraints=only_here), 2)
        await world.until_count(S.RUNNING, 2)
        world.engine.status(ids[0], TaskState.TASK_LOST)
        await world.until_status(ids[0], S.LOST)
        await trio.sleep(1)
        assert world.stats.get(f"tasks_LOST_{keys.canonical(JOB)}") == 1
        assert world.stats.get("tasks_lost_rack_r1") == 1
        assert world.stats.get("tasks_lost_dedicated__/any") == 1
