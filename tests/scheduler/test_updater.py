"""Updates as they happen, over real storage and task states, with agents that play (updates sheet, 4 to 11)."""

from __future__ import annotations

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from aurorad.api.enums import JobUpdatePulseStatus, JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateKey,
    JobUpdateSettings,
    JobUpdateStrategy,
    VariableBatchJobUpdateStrategy,
)
from aurorad.flags import Flags
from aurorad.rules.updates.evaluation import AUTO_PAUSED
from aurorad.rules.updates.transitions import ACTIVE
from aurorad.scheduler import updater
from aurorad.scheduler.rpc.answers import Refused
from tests.scheduler import updates_world
from tests.scheduler.updates_world import JOB, NEW, NEWER, OLD, Life, World, fails, settings

S = JobUpdateStatus
T = ScheduleStatus


async def test_an_update_rolls_forward_one_by_one(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0, 1, 2)
        key = await world.update(NEW, 3, settings(), "go")
        await world.until(key, S.ROLLED_FORWARD)
        assert world.configs() == dict.fromkeys(range(3), NEW)
        assert world.story(key) == [("ROLLING_FORWARD", "alice", "go"), ("ROLLED_FORWARD", None, None)]
        assert world.actions(key) == [
            (i, action) for i in range(3) for action in ("INSTANCE_UPDATING", "INSTANCE_UPDATED")
        ]
        assert world.most_at_once == 1


async def test_the_replaced_task_tells_which_update_killed_it(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings())
        await world.until(key, S.ROLLED_FORWARD)
        (old,) = [task for task in world.tasks(0) if task.assigned_task.task == OLD]
        assert [(e.status, e.message) for e in old.task_events[-2:]] == [
            (T.KILLING, f"Killed for job update {key.id}"),
            (T.KILLED, None),
        ]


async def test_a_job_without_tasks_is_updated_into_existence(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        key = await world.update(NEW, 3, settings(2))
        await world.until(key, S.ROLLED_FORWARD)
        assert world.configs() == dict.fromkeys(range(3), NEW)
        assert world.most_at_once == 2


async def test_an_update_that_only_removes(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0, 1, 2)
        key = await world.update(OLD, 1, settings(5))
        await world.until(key, S.ROLLED_FORWARD)
        assert world.configs() == {0: OLD}
        assert sorted(world.actions(key)) == [
            (i, action) for i in (1, 2) for action in ("INSTANCE_UPDATED", "INSTANCE_UPDATING")
        ]


async def test_a_failing_update_is_rolled_back(autojump_clock: MockClock) -> None:
    async with World(fails(NEW)).running() as world:
        await world.create(OLD, 0, 1)
        key = await world.update(NEW, 2, settings())
        await world.until(key, S.ROLLED_BACK)
        assert world.configs() == {0: OLD, 1: OLD}
        assert world.story(key) == [
            ("ROLLING_FORWARD", "alice", None),
            ("ROLLING_BACK", None, "Latest failure: instance 0 exited."),
            ("ROLLED_BACK", None, None),
        ]
        assert world.actions(key) == [
            (0, "INSTANCE_UPDATING"),
            (0, "INSTANCE_UPDATE_FAILED"),
            (0, "INSTANCE_ROLLING_BACK"),
            (0, "INSTANCE_ROLLED_BACK"),
        ]


async def test_a_failing_update_stays_where_it_is_when_no_rollback_is_wanted(autojump_clock: MockClock) -> None:
    async with World(fails(NEW)).running() as world:
        await world.create(OLD, 0, 1)
        key = await world.update(NEW, 2, settings(rollback_on_failure=False))
        await world.until(key, S.FAILED)
        assert world.configs() == {0: NEW, 1: OLD}
        assert world.story(key)[-1] == ("FAILED", None, "Latest failure: instance 0 exited.")


class Stumbles:
    """Each instance of NEW fails so often before it lives."""

    def __init__(self, **times: int) -> None:
        self.left = {int(name.removeprefix("i")): count for name, count in times.items()}

    def __call__(self, task: ScheduledTask) -> Life:
        instance = task.assigned_task.instance_id
        if task.assigned_task.task != NEW or not self.left.get(instance):
            return Life()
        self.left[instance] -= 1
        return Life(0.2)


async def test_an_instance_may_fail_as_often_as_allowed(autojump_clock: MockClock) -> None:
    async with World(Stumbles(i0=2)).running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings(max_per_instance_failures=2))
        await world.until(key, S.ROLLED_FORWARD, S.ROLLED_BACK)
        assert world.status(key) is S.ROLLED_FORWARD
        assert len(world.tasks(0)) == 4


async def test_an_instance_that_fails_once_more_rolls_the_update_back(autojump_clock: MockClock) -> None:
    async with World(Stumbles(i0=3)).running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings(max_per_instance_failures=2))
        await world.until(key, S.ROLLED_FORWARD, S.ROLLED_BACK)
        assert world.status(key) is S.ROLLED_BACK


async def test_as_many_instances_may_fail_as_allowed(autojump_clock: MockClock) -> None:
    async with World(Stumbles(i0=1)).running() as world:
        await world.create(OLD, 0, 1, 2)
        key = await world.update(NEW, 3, settings(max_failed_instances=1))
        await world.until(key, S.ROLLED_FORWARD)
        assert (0, "INSTANCE_UPDATE_FAILED") in world.actions(key)
        assert world.configs() == dict.fromkeys(range(3), NEW)


async def test_a_flapping_job_is_repaired_not_waited_for(autojump_clock: MockClock) -> None:
    async with World(fails(OLD)).running() as world:
        await world.storage.write(lambda tx: world.states.insert_pending(tx, OLD, [0]))
        await world.until_task(0, OLD, T.THROTTLED)
        key = await world.update(NEW, 1, settings())
        await world.until(key, S.ROLLED_FORWARD)
        assert world.configs() == {0: NEW}


async def test_an_old_instance_that_was_never_placed_is_replaced(autojump_clock: MockClock) -> None:
    async with World(lambda task: Life(placed=task.assigned_task.task != OLD)).running() as world:
        await world.storage.write(lambda tx: world.states.insert_pending(tx, OLD, [0]))
        key = await world.update(NEW, 1, settings())
        await world.until(key, S.ROLLED_FORWARD)
        assert [task.assigned_task.task for task in world.tasks(0)] == [NEW]


async def test_an_instance_is_watched_from_the_moment_it_runs(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        key = await world.update(NEW, 1, settings(min_wait_in_instance_running_ms=45_000))
        runs = await world.until_task(0, NEW, T.RUNNING)
        await world.until(key, S.ROLLED_FORWARD)
        done = world.details(key).update_events[-1]
        assert done.timestamp_ms == runs.task_events[-1].timestamp + 45_000


async def test_a_drained_instance_does_not_fail_the_update(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings(min_wait_in_instance_running_ms=5000))
        runs = await world.until_task(0, NEW, T.RUNNING)
        await world.move(runs.assigned_task.task_id, T.DRAINING)
        await world.until(key, S.ROLLED_FORWARD, S.ROLLING_BACK)
        assert world.status(key) is S.ROLLED_FORWARD


async def test_a_batch_waits_for_the_one_before(autojump_clock: MockClock) -> None:
    batch = JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(2))
    async with World().running() as world:
        await world.create(OLD, 0, 1, 2)
        key = await world.update(NEW, 3, settings(update_strategy=batch))
        await world.until(key, S.ROLLED_FORWARD)
        assert [i for i, _ in world.actions(key)] == [0, 1, 0, 1, 2, 2]


async def test_batches_pause_by_themselves_and_go_on_when_asked(autojump_clock: MockClock) -> None:
    varying = JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy((1, 2), autopause_after_batch=True))
    async with World().running() as world:
        await world.create(OLD, 0, 1, 2, 3)
        key = await world.update(NEW, 4, settings(update_strategy=varying))
        updated = []
        for _ in range(2):
            await world.until(key, S.ROLL_FORWARD_PAUSED)
            assert world.story(key)[-1] == ("ROLL_FORWARD_PAUSED", None, AUTO_PAUSED)
            updated.append(list(world.configs().values()).count(NEW))
            await world.restart_updater()
            await world.ask(world.updater.resume, key)
        await world.until(key, S.ROLLED_FORWARD)
        assert updated == [1, 3]


async def test_a_paused_update_can_be_rolled_back(autojump_clock: MockClock) -> None:
    varying = JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy((1, 3), autopause_after_batch=True))
    async with World().running() as world:
        await world.create(OLD, 0, 1, 2, 3)
        key = await world.update(NEW, 4, settings(update_strategy=varying))
        await world.until(key, S.ROLL_FORWARD_PAUSED)
        await world.ask(world.updater.rollback, key, "no")
        await world.until(key, S.ROLLED_BACK)
        assert [i for i, _ in world.actions(key)] == [0, 0, 0, 0]
        assert world.story(key)[2:] == [("ROLLING_BACK", "bob", "no"), ("ROLLED_BACK", None, None)]
        assert world.configs() == dict.fromkeys(range(4), OLD)


async def test_a_pause_stops_the_work_and_a_resume_takes_it_up(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0, 1)
        key = await world.update(NEW, 2, settings())
        await world.until_task(0, NEW, T.RUNNING)
        await world.ask(world.updater.pause, key, "wait")
        await world.ask(world.updater.pause, key, "again")
        await trio.sleep(1000)
        assert world.configs() == {0: NEW, 1: OLD}
        await world.ask(world.updater.resume, key)
        await world.until(key, S.ROLLED_FORWARD)
        assert world.story(key)[1:3] == [("ROLL_FORWARD_PAUSED", "bob", "wait"), ("ROLLING_FORWARD", "bob", None)]


async def test_failures_before_a_pause_count_after_it(autojump_clock: MockClock) -> None:
    async with World(Stumbles(i0=2)).running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings(max_per_instance_failures=1))
        await world.until_task(0, NEW, T.FAILED)
        await world.ask(world.updater.pause, key)
        await world.restart_updater()
        await world.ask(world.updater.resume, key)
        await world.until(key, S.ROLLED_FORWARD, S.ROLLED_BACK)
        assert world.status(key) is S.ROLLED_BACK


async def test_an_abort_leaves_everything_as_it_is(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0, 1)
        key = await world.update(NEW, 2, settings())
        await world.until_task(0, NEW, T.RUNNING)
        await world.ask(world.updater.abort, key, "enough")
        await trio.sleep(1000)
        assert world.configs() == {0: NEW, 1: OLD}
        assert world.story(key)[-1] == ("ABORTED", "bob", "enough")


async def test_a_new_updater_takes_up_what_the_last_one_left(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0, 1, 2)
        key = await world.update(NEW, 3, settings())
        await world.until_task(1, OLD, T.KILLING)
        world.stop_updater()
        await trio.sleep(100)
        assert world.status(key) is S.ROLLING_FORWARD
        await world.restart_updater()
        await world.until(key, S.ROLLED_FORWARD)
        assert world.actions(key) == [
            (i, action) for i in range(3) for action in ("INSTANCE_UPDATING", "INSTANCE_UPDATED")
        ]


async def test_a_failure_that_nobody_watched_is_seen_after_a_restart(autojump_clock: MockClock) -> None:
    async with World(Stumbles(i0=1)).running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings())
        await world.until_task(0, NEW, T.RUNNING)
        world.stop_updater()
        await trio.sleep(100)
        await world.restart_updater()
        await world.until(key, S.ROLLED_FORWARD, S.ROLLED_BACK)
        assert world.status(key) is S.ROLLED_BACK


async def test_a_full_log_delays_an_update_and_loses_nothing(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings())
        await world.until_task(0, NEW, T.RUNNING)
        world.log.full = True
        await trio.sleep(50.5)  # between two attempts
        assert world.status(key) is S.ROLLING_FORWARD
        world.log.full = False
        await world.until(key, S.ROLLED_FORWARD)


async def test_a_second_update_is_refused_with_the_first(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings())
        with pytest.raises(Refused, match="An active update already exists for this job") as caught:
            await world.update(NEWER, 1, settings())
        assert caught.value.result is not None
        running = caught.value.result.start_job_update_result
        assert running is not None
        assert running.key == key
        assert running.update_summary == world.details(key).update.summary


async def test_an_update_may_follow_one_that_ended(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0)
        await world.until(await world.update(NEW, 1, settings()), S.ROLLED_FORWARD)
        await world.until(await world.update(OLD, 1, settings()), S.ROLLED_FORWARD)
        assert world.configs() == {0: OLD}


async def test_instructions_that_cannot_be_followed_end_in_error(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, JobUpdateSettings(update_strategy=JobUpdateStrategy()))
        await world.until(key, S.ERROR)
        assert world.story(key)[-1] == (
            "ERROR",
            None,
            "Internal scheduler error: Update strategy provided is unknown.",
        )


@pytest.mark.parametrize("name", ["pause", "resume", "abort", "rollback"])
async def test_requests_about_an_unknown_update_are_refused(autojump_clock: MockClock, name: str) -> None:
    colon = ":" if name == "resume" else ""
    text = f"Update does not exist{colon} IJobUpdateKey{{job=IJobKey{{role=www, environment=prod, name=web}}, id=x}}"
    async with World().running() as world:
        with pytest.raises(Refused) as caught:
            await world.ask(getattr(world.updater, name), JobUpdateKey(JOB, "x"))
        assert str(caught.value) == text


@pytest.mark.parametrize(
    ("name", "target"), [("pause", "null"), ("resume", "null"), ("abort", "ABORTED"), ("rollback", "ROLLING_BACK")]
)
async def test_requests_about_an_ended_update_are_refused(autojump_clock: MockClock, name: str, target: str) -> None:
    async with World().running() as world:
        key = await world.update(NEW, 1, settings())
        await world.until(key, S.ROLLED_FORWARD)
        with pytest.raises(Refused, match=f"^Cannot transition update from ROLLED_FORWARD to {target}$"):
            await world.ask(getattr(world.updater, name), key)


async def pulse(world: World, key: JobUpdateKey) -> JobUpdatePulseStatus:
    return await world.storage.write(lambda tx: world.updater.pulse(tx, key))


async def test_a_coordinated_update_goes_on_as_long_as_it_is_pulsed(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0, 1)
        key = await world.update(NEW, 2, settings(block_if_no_pulses_after_ms=500))
        await trio.sleep(100)
        assert world.story(key) == [("ROLL_FORWARD_AWAITING_PULSE", "alice", None)]
        assert world.configs() == {0: OLD, 1: OLD}
        assert await pulse(world, key) is JobUpdatePulseStatus.OK
        assert world.status(key) is S.ROLLING_FORWARD
        await trio.sleep(100)
        assert world.story(key)[1:] == [
            ("ROLLING_FORWARD", None, None),
            ("ROLL_FORWARD_AWAITING_PULSE", None, "Pulses from external service have timed out."),
        ]
        expired = world.details(key).update_events
        assert expired[2].timestamp_ms == expired[1].timestamp_ms + 500
        while world.status(key) is not S.ROLLED_FORWARD:
            await pulse(world, key)
            await trio.sleep(0.2)
        assert await pulse(world, key) is JobUpdatePulseStatus.FINISHED
        assert world.configs() == {0: NEW, 1: NEW}


async def test_a_coordinated_update_resumes_as_its_pulse_allows(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings(block_if_no_pulses_after_ms=5000))
        await world.ask(world.updater.pause, key)
        await world.ask(world.updater.resume, key)
        assert world.status(key) is S.ROLL_FORWARD_AWAITING_PULSE
        await world.ask(world.updater.pause, key)
        assert await pulse(world, key) is JobUpdatePulseStatus.OK
        assert world.status(key) is S.ROLL_FORWARD_PAUSED
        await world.ask(world.updater.resume, key)
        assert world.status(key) is S.ROLLING_FORWARD


async def test_rolling_back_a_coordinated_update_needs_pulses_too(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings(block_if_no_pulses_after_ms=500))
        await world.ask(world.updater.rollback, key)
        await world.until(key, S.ROLL_BACK_AWAITING_PULSE)
        await pulse(world, key)
        await world.until(key, S.ROLLED_BACK)


async def test_pulses_for_others_are_finished(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        assert await pulse(world, JobUpdateKey(JOB, "x")) is JobUpdatePulseStatus.FINISHED
        key = await world.update(NEW, 1, settings())
        assert await pulse(world, key) is JobUpdatePulseStatus.FINISHED


async def test_a_clock_that_was_behind_for_a_moment_does_not_keep_an_update_waiting(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind_ms = 0
    right_ms = updates_world.now_ms
    monkeypatch.setattr(updates_world, "now_ms", lambda: right_ms() - behind_ms)
    async with World().running() as world:
        await world.create(OLD, 0)
        key = await world.update(NEW, 1, settings(min_wait_in_instance_running_ms=30_000))
        await world.until_task(0, NEW, T.RUNNING)
        behind_ms = 86_400_000
        await world.restart_updater()
        await trio.sleep(1)
        behind_ms = 0
        await trio.sleep(120)
        assert world.status(key) is S.ROLLED_FORWARD


async def test_ended_updates_are_pruned_for_good(autojump_clock: MockClock) -> None:
    flags = Flags(job_update_history_per_job_threshold=1, job_update_history_pruning_interval=900.0)
    async with World(flags=flags).running() as world:
        first = await world.update(NEW, 1, settings())
        await world.until(first, S.ROLLED_FORWARD)
        second = await world.update(NEWER, 1, settings())
        await world.until(second, S.ROLLED_FORWARD)
        await trio.sleep(901)
        assert set(world.tables.updates) == {second}
        assert world.stats.get("job_updates_pruned") == 1


async def test_many_ended_updates_are_pruned_in_several_writes(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updater, "PRUNED_AT_ONCE", 1)
    flags = Flags(job_update_history_per_job_threshold=1, job_update_history_pruning_interval=900.0)
    async with World(flags=flags).running() as world:
        for config in (NEW, NEWER, OLD):
            last = await world.update(config, 1, settings())
            await world.until(last, S.ROLLED_FORWARD)
        before = len(world.log.entries)
        await trio.sleep(901)
        assert set(world.tables.updates) == {last}
        assert len(world.log.entries) == before + 2


async def test_what_happens_is_counted(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        assert world.stats.snapshot()["update_transition_ERROR"] == 0
        await world.create(OLD, 0, 1)
        key = await world.update(NEW, 2, settings())
        await world.until(key, S.ROLLED_FORWARD)
        assert world.stats.get("update_transition_ROLLING_FORWARD") == 1
        assert world.stats.get("update_transition_ROLLED_FORWARD") == 1
        assert world.stats.get("update_instance_transition_INSTANCE_UPDATED") == 2


async def test_failures_count_however_often_the_update_is_taken_up_anew(autojump_clock: MockClock) -> None:
    """After every single write of an update its updater is replaced, or it is paused and resumed."""
    for interrupt in ("restart", "pause"):
        async with World(Stumbles(i0=2, i1=3)).running() as world:
            await world.create(OLD, 0, 1, 2)
            key = await world.update(NEW, 3, settings(2, max_per_instance_failures=2, max_failed_instances=0))
            while world.status(key) in ACTIVE:
                if interrupt == "restart":
                    await world.restart_updater()
                elif world.status(key) in (S.ROLLING_FORWARD, S.ROLLING_BACK):
                    await world.ask(world.updater.pause, key)
                    await world.ask(world.updater.resume, key)
                if world.status(key) in ACTIVE:
                    with trio.move_on_after(40):
                        await world.something()
            assert world.status(key) is S.ROLLED_BACK
            assert world.configs() == dict.fromkeys(range(3), OLD)
            assert (1, "INSTANCE_UPDATE_FAILED") in world.actions(key)
            assert (0, "INSTANCE_UPDATE_FAILED") not in world.actions(key)
            assert world.most_at_once <= 2


async def test_a_full_log_delays_an_update_and_changes_nothing_else(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, *range(6))
        key = await world.update(NEW, 6, settings(2))
        for _ in range(20):
            world.log.full = True
            await trio.sleep(0.35)
            world.log.full = False
            await trio.sleep(0.15)
        await world.until(key, S.ROLLED_FORWARD)
        assert world.configs() == dict.fromkeys(range(6), NEW)
        assert world.most_at_once <= 2
        actions = world.actions(key)
        assert len(set(actions)) == len(actions)


async def test_updates_that_are_due_share_their_writes(autojump_clock: MockClock) -> None:
    jobs = [JobKey("www", "prod", f"web{i}") for i in range(50)]
    async with World().running() as world:
        olds = [msgspec.structs.replace(OLD, job=job) for job in jobs]
        await world.storage.write(lambda tx: [world.states.insert_pending(tx, old, [0]) for old in olds])
        await trio.sleep(10)
        world.stop_updater()
        keys = [await world.update(msgspec.structs.replace(NEW, job=job), 1, settings()) for job in jobs]
        entries = len(world.log.entries)
        await world.restart_updater()
        await trio.testing.wait_all_tasks_blocked()
        assert all(len(world.actions(key)) == 1 for key in keys)
        assert len(world.log.entries) == entries + 1


async def test_a_killed_task_offers_its_place_to_its_replacement(autojump_clock: MockClock) -> None:
    async with World().running() as world:
        await world.create(OLD, 0, 1)
        key = await world.update(NEW, 1, settings(2))
        await world.until(key, S.ROLLED_FORWARD)
        assert world.places == [(0, NEW)]
