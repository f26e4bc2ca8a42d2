"""What holds of every drain, whatever else happens and whenever the scheduler is replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
import trio
import trio.testing
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aurorad.api.enums import ACTIVE_STATES, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import CountSlaPolicy, JobKey, PercentageSlaPolicy, ScheduledTask, SlaPolicy
from aurorad.engine.base import TaskState
from aurorad.flags import Flags
from aurorad.rules.sla_policy import required
from aurorad.rules.task_states import StateChangeResult
from aurorad.scheduler.state import StateManager
from aurorad.storage.storage import LogFull
from aurorad.storage.transaction import Transaction
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config, now_ms

S = ScheduleStatus
HOSTS = ("h0", "h1", "h2", "h3")
DAY_S = 86_400

policies = st.one_of(
    st.builds(CountSlaPolicy, st.integers(0, 8), st.integers(0, 90)),
    st.builds(PercentageSlaPolicy, st.sampled_from([0.0, 50.0, 80.0, 95.0, 100.0]), st.integers(0, 90)),
)
Counted = CountSlaPolicy | PercentageSlaPolicy


class Event(NamedTuple):
    after_s: float
    what: str
    number: int


class Case(NamedTuple):
    policies: list[Counted]
    """Those of the jobs, six instances each."""
    events: list[Event]


cases = st.builds(
    Case,
    st.lists(policies, min_size=1, max_size=3),
    st.lists(
        st.builds(
            Event,
            st.sampled_from([0.0, 0.0005, 0.0015, 0.3, 1.0, 5.0, 70.0]),
            st.sampled_from(["drain", "drain", "end", "schedule", "fail", "restart", "full", "room"]),
            st.integers(0, 17),
        ),
        max_size=12,
    ),
)


class Guard:
    """Looks at each job whenever a task of it is drained: what its policy says must hold without that task."""

    def __init__(self, promises: dict[JobKey, Counted]) -> None:
        self._promises = promises
        self._original = StateManager.change_state

    def change_state(
        self,
        states: StateManager,
        tx: Transaction,
        task_id: str,
        target: ScheduleStatus,
        message: str | None = None,
        expected: ScheduleStatus | None = None,
    ) -> StateChangeResult:
        result = self._original(states, tx, task_id, target, message, expected)
        task = tx.tables.task(task_id)
        if target is S.DRAINING and task is not None:
            job = task.assigned_task.task.job
            policy = self._promises[job]
            active = tx.tables.job_tasks(job, ACTIVE_STATES)
            healthy = sum(1 for one in active if _healthy(one, policy.duration_secs))
            assert healthy >= required(policy, len(active)), "a promise was broken"
        return result


def _healthy(task: ScheduledTask, for_s: int) -> bool:
    return task.status is S.RUNNING and task.task_events[-1].timestamp < now_ms() - for_s * 1000


@given(cases)
@hypothesis_settings(max_examples=25)
def test_no_drain_breaks_a_promise_and_every_drain_that_can_end_does(case: Case) -> None:
    trio.run(_play, case, clock=trio.testing.MockClock(autojump_threshold=0))


async def _play(case: Case) -> None:
    flags = Flags(min_required_instances_for_sla_check=1, host_maintenance_polling_interval=10.0)
    world = World(PretendEngine(*(Agent(host, cpus=20) for host in HOSTS)), flags)
    promises = {JobKey("www-data", "prod", f"job{number}"): policy for number, policy in enumerate(case.policies)}
    guard = Guard(promises)
    original = StateManager.change_state
    StateManager.change_state = lambda self, *args, **named: guard.change_state(self, *args, **named)  # type: ignore[method-assign]
    try:
        async with world.running():
            for job, policy in promises.items():
                if isinstance(policy, CountSlaPolicy):
                    promise = SlaPolicy(count_sla_policy=policy)
                else:
                    promise = SlaPolicy(percentage_sla_policy=policy)
                wanted = msgspec.structs.replace(config(name=job.name), production=True, sla_policy=promise)
                await world.create(wanted, 6)
            await world.until_count(S.RUNNING, 6 * len(promises))
            async with trio.open_nursery() as nursery:
                for event in case.events:
                    await trio.sleep(event.after_s)
                    await _happen(world, event, nursery)
                world.log.full = False
            # The first host stays usable, so everything can move there.
            await world.scheduler.maintenance.end(["h0"])
            await world.scheduler.maintenance.drain_patiently(HOSTS[1:], None, 30 * DAY_S)
            await world.until(lambda: all(_is_drained(world, host) for host in HOSTS[1:]))
            await world.until_count(S.RUNNING, 6 * len(promises))
            assert not world.tables.maintenance
            assert {one.assigned_task.slave_host for one in world.tasks() if one.status is S.RUNNING} == {"h0"}
    finally:
        StateManager.change_state = original  # type: ignore[method-assign]


def _is_drained(world: World, host: str) -> bool:
    return world.tables.hosts[host].mode is MaintenanceMode.DRAINED


async def _happen(world: World, event: Event, nursery: trio.Nursery) -> None:
    maintenance, host = world.scheduler.maintenance, HOSTS[event.number % 4]
    match event.what:
        case "drain":
            nursery.start_soon(_try, maintenance.drain_patiently, [host], None, 30 * DAY_S)
        case "end":
            nursery.start_soon(_try, maintenance.end, [host])
        case "schedule":
            nursery.start_soon(_try, maintenance.schedule, [host])
        case "fail":
            live = sorted(world.engine.live_tasks())
            if live:
                world.engine.status(live[event.number % len(live)], TaskState.TASK_FAILED)
        case "restart":
            await world.restart()
        case "full":
            world.log.full = True
        case "room":
            world.log.full = False


async def _try(call: Callable[..., Awaitable[object]], *args: object) -> None:
    with contextlib.suppress(LogFull):
        await call(*args)
