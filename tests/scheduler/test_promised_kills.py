"""Updates that keep what their jobs were promised (updates sheet, section 7)."""

from __future__ import annotations

import msgspec
import trio
from trio.testing import MockClock

from aurorad.api.enums import JobUpdateStatus, ScheduleStatus
from aurorad.api.tasks import CountSlaPolicy, SlaPolicy
from aurorad.api.updates import JobUpdateKey
from aurorad.flags import Flags
from tests.scheduler.updates_world import NEW, OLD, Life, World, settings

S = JobUpdateStatus
T = ScheduleStatus
JOB_TEXT = "www/prod/web"
HEALTHY_AFTER_S = 30
PROMISED = SlaPolicy(count_sla_policy=CountSlaPolicy(3, HEALTHY_AFTER_S))
CAREFUL = msgspec.structs.replace(NEW, sla_policy=PROMISED)


def world() -> World:
    return World(flags=Flags(sla_aware_kill_non_prod=True, min_required_instances_for_sla_check=1))


def said(world: World, key: JobUpdateKey, instance: int) -> list[tuple[str, str | None]]:
    events = world.details(key).instance_events
    return [(event.action.name, event.message) for event in events if event.instance_id == instance]


async def test_instances_go_only_as_fast_as_the_promise_allows(autojump_clock: MockClock) -> None:
    async with world().running() as here:
        await here.create(OLD, 0, 1, 2, 3)
        await trio.sleep(HEALTHY_AFTER_S)
        key = await here.update(CAREFUL, 4, settings(4, sla_aware=True))
        fewest = 4
        while here.status(key) is S.ROLLING_FORWARD:
            await here.something()
            healthy = sum(task.status is T.RUNNING for i in range(4) for task in here.tasks(i))
            fewest = min(fewest, healthy)
        assert here.status(key) is S.ROLLED_FORWARD
        assert here.configs() == dict.fromkeys(range(4), CAREFUL)
        assert fewest == 3
        for instance in range(4):
            assert said(here, key, instance) == [
                ("INSTANCE_UPDATING", None),
                ("INSTANCE_UPDATING", "Checking SLA before continuing."),
                ("INSTANCE_UPDATING", "SLA check passed, continuing."),
                ("INSTANCE_UPDATED", None),
            ]
        shown = here.stats.snapshot()
        assert shown[f"updates_sla_kill_success_{JOB_TEXT}"] == 4
        assert int(shown[f"updates_sla_kill_attempt_{JOB_TEXT}"]) > 4


async def test_a_refused_kill_is_tried_again_after_one_to_two_minutes(autojump_clock: MockClock) -> None:
    async with world().running() as here:
        await here.create(OLD, 0, 1, 2, 3)
        began = trio.current_time()
        key = await here.update(CAREFUL, 4, settings(1, sla_aware=True))  # nobody has run for long enough
        while len(said(here, key, 0)) < 3:
            await here.something()
        assert 60 <= trio.current_time() - began <= 121
        assert here.task(0).task_events[-1].message == f"Killed for job update {key.id}"


async def test_what_has_no_agent_yet_goes_at_once(autojump_clock: MockClock) -> None:
    async with world().running() as here:
        await here.create(OLD, 1, 2, 3)
        here.life = lambda task: Life(placed=False)
        await here.storage.write(lambda tx: here.states.insert_pending(tx, OLD, [0]))
        waiting = here.task(0)
        here.life = lambda task: Life()
        await here.update(CAREFUL, 4, settings(1, sla_aware=True))
        await trio.sleep(2)
        assert here.tables.task(waiting.assigned_task.task_id) is None
        assert here.configs() == {0: CAREFUL, 1: OLD, 2: OLD, 3: OLD}


async def test_a_pause_takes_the_wish_back(autojump_clock: MockClock) -> None:
    async with world().running() as here:
        await here.create(OLD, 0, 1, 2, 3)
        key = await here.update(CAREFUL, 4, settings(4, sla_aware=True))
        await trio.sleep(1)
        await here.ask(here.updater.pause, key)
        await trio.sleep(1000)
        assert here.configs() == dict.fromkeys(range(4), OLD)
        await here.ask(here.updater.resume, key)
        await here.until(key, S.ROLLED_FORWARD)
        assert said(here, key, 0).count(("INSTANCE_UPDATING", "Checking SLA before continuing.")) == 1


async def test_a_restart_asks_again(autojump_clock: MockClock) -> None:
    async with world().running() as here:
        await here.create(OLD, 0, 1, 2, 3)
        key = await here.update(CAREFUL, 4, settings(2, sla_aware=True))
        for _ in range(5):
            await trio.sleep(20)
            await here.restart_updater()
        await here.until(key, S.ROLLED_FORWARD)
        assert here.configs() == dict.fromkeys(range(4), CAREFUL)
        assert here.most_at_once <= 2


async def test_nothing_is_asked_for_a_task_that_has_ended_by_itself(autojump_clock: MockClock) -> None:
    never = SlaPolicy(count_sla_policy=CountSlaPolicy(3, 1_000_000))
    async with world().running() as here:
        await here.create(OLD, 0, 1, 2, 3)
        await here.update(msgspec.structs.replace(CAREFUL, sla_policy=never), 4, settings(1, sla_aware=True))
        await trio.sleep(1)
        await here.move(here.task(0).assigned_task.task_id, T.FAILED)
        await trio.sleep(1000)
        assert here.configs()[0].priority == NEW.priority
        assert set(here.updater.objections) == {here.task(1).assigned_task.task_id}
