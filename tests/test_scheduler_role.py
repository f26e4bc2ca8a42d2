"""A scheduler's life, with a log, a leadership, an engine and a clock that do as the test says."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aurorad.leader.face import Defeated, Leader
from aurorad.lifecycle import Ending, Lifecycle, State
from aurorad.log.errors import LogFailed, LogLost, NotElected, Refused
from aurorad.log.face import Batches
from aurorad.scheduler.service import EngineGone
from aurorad.scheduler_role import LOOK_S, Followed, SchedulerRole
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.vars import Vars
from tests.storage.memory_log import MemoryLog


class World:
    """What the life meets, and what it did, in order. Events let it go on."""

    def __init__(self, *, alone: bool = False, registration_s: float = 60.0, leading_s: float = math.inf) -> None:
        self.did: list[str] = []
        self.stats = Vars()
        self.lifecycle = Lifecycle(self.stats)
        self.ending = Ending()
        self.is_elected, self.is_fit, self.is_led = trio.Event(), trio.Event(), trio.Event()
        self.is_registered, self.is_active = trio.Event(), trio.Event()
        self.is_fit.set()
        self.is_led.set()
        self.prepared, self.stopped = trio.Event(), trio.Event()
        self.prepared.set()
        self.stopped.set()
        self.lost, self.defeat, self.gone = trio.Event(), trio.Event(), trio.Event()
        self.storage_failure: Exception | None = None
        self.refusals: list[Exception] = []
        self.defeated_at_once = False
        self.unfit: str | None = None
        self.leadership = FakeLeadership(self)
        self.role = SchedulerRole(
            lifecycle=self.lifecycle,
            ending=self.ending,
            leadership=self.leadership,
            follow=self.follow,
            begin_reign=self.begin_reign,
            front=FakeFront(self),
            stats=self.stats,
            alone=alone,
            election_attempts=3,
            max_registration_delay_s=registration_s,
            max_leading_duration_s=leading_s,
        )

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[FakeFollowed]:
        self.did.append("open log")
        await self.prepared.wait()
        try:
            yield FakeFollowed(self)
        finally:
            self.did.append("close log")

    async def begin_reign(self, storage: Storage) -> FakeReign:
        await trio.lowlevel.checkpoint()
        return FakeReign(self)

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """As long as the block lasts, and not longer."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.role.run)
            await wait_all_tasks_blocked()
            yield
            nursery.cancel_scope.cancel()

    def lead(self) -> None:
        for event in (self.is_elected, self.is_registered, self.is_active):
            event.set()

    def is_in(self, state: State) -> bool:
        return self.lifecycle.state is state


class FakeLeadership:
    def __init__(self, world: World) -> None:
        self._world = world
        self.leads = False
        self.leaders: tuple[Leader, ...] = ()
        self.is_advertised = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    async def elected(self) -> None:
        self._world.did.append("stand")
        await self._world.is_elected.wait()

    async def defeated(self) -> str:
        await self._world.defeat.wait()
        return "the session is lost"

    async def advertise(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._world.defeated_at_once:
            raise Defeated("the session is lost")
        self._world.did.append("advertise")

    async def withdraw(self) -> None:
        await trio.lowlevel.checkpoint()
        self._world.did.append("withdraw")


class FakeLog(MemoryLog):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def follow(self, position: int) -> Batches:
        await trio.sleep(math.inf)
        yield []

    @property
    def unfit(self) -> str | None:
        return self._world.unfit

    async def fit(self) -> None:
        await self._world.is_fit.wait()

    async def lead(self) -> None:
        await self._world.is_led.wait()
        if self._world.refusals:
            raise self._world.refusals.pop(0)

    async def lost(self) -> str:
        await self._world.lost.wait()
        return "Exclusive write promise lost"


class FakeFollowed:
    def __init__(self, world: World) -> None:
        self._world = world
        self.log = FakeLog(world)
        self.tables = Tables()

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[Storage]:
        self._world.did.append("open storage")
        storage = Storage(self.log, self.tables)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._fail)
                yield storage
                nursery.cancel_scope.cancel()
        finally:
            self._world.did.append("close storage")

    async def _fail(self) -> None:
        await self._world.gone.wait()
        if self._world.storage_failure is not None:
            raise self._world.storage_failure
        await trio.sleep_forever()


class FakeReign:
    def __init__(self, world: World) -> None:
        self._world = world
        self.registered = world.is_registered

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            await self._world.is_registered.wait()
            await self._world.is_active.wait()
            task_status.started()
            await self._world.gone.wait()
            if self._world.storage_failure is None:
                raise EngineGone("the engine has ended")
            await trio.sleep_forever()
        finally:
            self._world.did.append("end services")

    async def wind_up(self) -> None:
        await trio.lowlevel.checkpoint()
        self._world.did.append("wind up")


class FakeFront:
    def __init__(self, world: World) -> None:
        self._world = world

    async def follow(self, state: Followed) -> None:
        await trio.lowlevel.checkpoint()
        self._world.did.append("serve as follower")

    async def lead(self, reign: FakeReign) -> None:
        await trio.lowlevel.checkpoint()
        self._world.did.append("serve as leader")

    async def stop(self) -> None:
        self._world.did.append("stop serving")
        await self._world.stopped.wait()


BECOMING = ["open log", "serve as follower", "stand", "open storage", "serve as leader", "advertise"]
IN_ORDER = ["stop serving", "wind up", "withdraw", "end services", "close storage", "close log"]
AFTER_AN_ERROR = ["end services", "close storage", "close log", "stop serving", "withdraw"]


async def test_it_goes_from_state_to_state_as_it_is_elected_and_registered() -> None:
    world = World()
    world.prepared = trio.Event()
    async with world.alive():
        assert world.is_in(State.PREPARING_STORAGE)
        world.prepared.set()
        await wait_all_tasks_blocked()
        assert world.is_in(State.STORAGE_PREPARED)
        world.is_elected.set()
        await wait_all_tasks_blocked()
        assert world.is_in(State.LEADER_AWAITING_REGISTRATION)
        world.is_registered.set()
        await wait_all_tasks_blocked()
        assert world.is_in(State.LEADER_AWAITING_REGISTRATION), "its services are not there yet"
        world.is_active.set()
        await wait_all_tasks_blocked()
        assert world.is_in(State.ACTIVE)
    assert world.did[: len(BECOMING)] == BECOMING


async def test_it_says_what_it_does() -> None:
    world = World()
    world.prepared = trio.Event()
    async with world.alive():
        assert world.role.doing() == "PREPARING_STORAGE: reads its disk"
        world.prepared.set()
        await wait_all_tasks_blocked()
        assert world.role.doing() == "STORAGE_PREPARED: follows the log; nobody leads"
        world.leadership.leaders = (Leader("sched1", 8081, {}),)
        assert world.role.doing() == "STORAGE_PREPARED: follows sched1:8081"
        world.role.unfit = "the quorum is 1 and there are 3 members"
        assert world.role.doing() == "STORAGE_PREPARED: cannot lead: the quorum is 1 and there are 3 members"
        world.role.unfit = None
        world.is_elected.set()
        await wait_all_tasks_blocked()
        assert world.role.doing() == "LEADER_AWAITING_REGISTRATION: is about to lead, and waits for the engine"
        world.is_registered.set()
        world.is_active.set()
        await wait_all_tasks_blocked()
        assert world.role.doing() == "ACTIVE: leads"
        world.stopped = trio.Event()
        world.ending.because("a recovery was committed")
        assert world.role.doing() == "ACTIVE: ends: a recovery was committed"
        world.stopped.set()


async def test_who_is_alone_serves_nobody_before_it_leads() -> None:
    world = World(alone=True)
    async with trio.open_nursery() as nursery:
        world.lead()
        await nursery.start(world.role.run)
        assert world.is_in(State.ACTIVE)
        assert world.did[:4] == ["open log", "stand", "open storage", "serve as leader"]
        nursery.cancel_scope.cancel()


async def test_a_follower_is_ready_when_it_serves() -> None:
    world = World()
    async with trio.open_nursery() as nursery:
        await nursery.start(world.role.run)
        assert world.is_in(State.STORAGE_PREPARED)
        assert world.did[:2] == ["open log", "serve as follower"]
        nursery.cancel_scope.cancel()


async def test_told_to_end_it_leaves_in_order() -> None:
    world = World()
    world.lead()
    world.stopped = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.role.run)
        await wait_all_tasks_blocked()
        world.ending.told("SIGTERM")
        await wait_all_tasks_blocked()
        assert world.is_in(State.DEAD)
        assert world.did == [*BECOMING, "stop serving"], "requests that it has are answered first, by all services"
        world.stopped.set()
    assert world.did[: len(BECOMING + IN_ORDER)] == [*BECOMING, *IN_ORDER]
    assert world.ending.why is None


@pytest.mark.parametrize("elected", [False, True])
async def test_told_to_end_before_it_is_active_it_does_so_at_once(elected: bool) -> None:
    world = World()
    if elected:
        world.is_elected.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.role.run)
        await wait_all_tasks_blocked()
        world.ending.told("SIGTERM")
    assert world.is_in(State.DEAD)
    assert "withdraw" in world.did
    assert "serve as leader" not in world.did


async def test_told_to_end_while_it_reads_its_disk_it_does_so_then_and_counts_as_started() -> None:
    world = World(alone=True)
    world.prepared = trio.Event()
    world.lead()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(nursery.start, world.role.run)
        await wait_all_tasks_blocked()
        world.ending.told("SIGTERM")
        await wait_all_tasks_blocked()
        assert world.is_in(State.DEAD)
        world.prepared.set()
    assert "stand" not in world.did


def _loses_the_log(world: World) -> None:
    world.lost.set()


def _loses_leadership(world: World) -> None:
    world.defeat.set()


@pytest.mark.parametrize(
    ("cause", "why"),
    [(_loses_the_log, "Exclusive write promise lost"), (_loses_leadership, "the session is lost")],
)
async def test_a_leader_that_is_none_any_more_leaves_in_order_to_be_started_again(
    cause: Callable[[World], None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.lead()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.role.run)
        await wait_all_tasks_blocked()
        cause(world)
    assert world.did[: len(BECOMING + IN_ORDER)] == [*BECOMING, *IN_ORDER]
    assert world.ending.why == why
    told = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert told == [f"{why}: stopping"]


async def test_who_was_defeated_before_it_could_say_that_it_leads_leaves_in_order() -> None:
    world = World()
    world.defeated_at_once = True
    world.lead()
    await world.role.run()
    assert world.did[-len(IN_ORDER) :] == [*IN_ORDER[2:], "stop serving", "withdraw"]
    assert world.ending.why == "the session is lost"


async def test_a_leader_ends_when_it_has_led_for_long(autojump_clock: MockClock) -> None:
    world = World(leading_s=86400.0)
    world.lead()
    await world.role.run()
    assert trio.current_time() == pytest.approx(86400.0)
    assert world.ending.why == "led for -max_leading_duration=86400secs"
    assert world.did[: len(BECOMING + IN_ORDER)] == [*BECOMING, *IN_ORDER]


async def test_time_as_a_follower_does_not_count_as_leading(autojump_clock: MockClock) -> None:
    world = World(leading_s=10.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.role.run)
        await trio.sleep(1000.0)
        assert world.is_in(State.STORAGE_PREPARED)
        world.lead()
    assert trio.current_time() == pytest.approx(1010.0)


async def test_an_engine_that_does_not_register_us_in_time_is_given_up(autojump_clock: MockClock) -> None:
    world = World(registration_s=60.0)
    world.is_elected.set()
    await world.role.run()
    assert trio.current_time() == pytest.approx(60.0)
    assert world.ending.why == "not registered with the engine within -max_registration_delay=60secs"
    assert "advertise" not in world.did
    assert "withdraw" in world.did


async def test_services_may_take_their_time_once_we_are_registered(autojump_clock: MockClock) -> None:
    world = World(registration_s=60.0)
    world.is_elected.set()
    world.is_registered.set()
    async with world.alive():
        await trio.sleep(1000.0)
        assert world.is_in(State.LEADER_AWAITING_REGISTRATION)
        world.is_active.set()
        await wait_all_tasks_blocked()
        assert world.is_in(State.ACTIVE)


async def test_an_engine_that_ends_ends_the_scheduler() -> None:
    world = World()
    world.lead()
    world.gone.set()
    assert await failure_of(world.role.run) is EngineGone
    assert world.is_in(State.DEAD)
    assert world.did[-len(AFTER_AN_ERROR) :] == AFTER_AN_ERROR


@pytest.mark.parametrize("failure", [LogLost("a later proposal"), LogFailed("Input/output error")])
async def test_a_storage_that_fails_ends_the_scheduler(failure: Exception) -> None:
    world = World()
    world.lead()
    world.storage_failure = failure
    world.gone.set()
    assert await failure_of(world.role.run) is type(failure)
    assert world.did[-len(AFTER_AN_ERROR) :] == AFTER_AN_ERROR


async def test_who_cannot_win_the_log_ends() -> None:
    world = World()
    world.lead()
    world.refusals = [NotElected("no quorum")] * 3
    assert await failure_of(world.role.run) is NotElected
    tries = ["stand", "withdraw", "stand", "withdraw", "stand"]
    assert world.did == ["open log", "serve as follower", *tries, "close log", "stop serving", "withdraw"]


async def test_who_does_not_win_the_log_makes_room_for_others_and_stands_again() -> None:
    world = World()
    world.lead()
    world.refusals = [NotElected("no quorum")] * 2
    async with world.alive():
        assert world.did[2:7] == ["stand", "withdraw", "stand", "withdraw", "stand"]
        assert world.is_in(State.ACTIVE)


async def test_who_cannot_lead_does_not_stand_and_says_why(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.lead()
    world.unfit, world.is_fit = "the quorum is 1 and there are 3 members", trio.Event()
    async with world.alive():
        await trio.sleep(10 * LOOK_S)
        assert "stand" not in world.did
        assert world.is_in(State.STORAGE_PREPARED)
        assert world.role.unfit == world.unfit
        assert world.stats.get("scheduler_fit_to_lead") == 0
        assert world.stats.get("scheduler_unfit_to_lead_because") == world.unfit
        assert caplog.text.count("this scheduler cannot lead: the quorum is 1 and there are 3 members") == 1
        world.unfit = None
        world.is_fit.set()
        await wait_all_tasks_blocked()
        assert world.is_in(State.ACTIVE)
        assert world.stats.get("scheduler_fit_to_lead") == 1


async def test_a_candidate_that_gets_unfit_stands_aside_and_says_why(autojump_clock: MockClock) -> None:
    world = World()
    async with world.alive():
        await trio.sleep(1)
        assert world.did[-1] == "stand"
        world.unfit, world.is_fit = "another quorum was seen", trio.Event()
        await trio.sleep(LOOK_S)
        assert world.did[-1] == "withdraw"
        await trio.sleep(LOOK_S)
        assert world.did[-2:] == ["withdraw", "withdraw"], "ZooKeeper may have been out of reach the first time"
        assert world.stats.get("scheduler_unfit_to_lead_because") == "another quorum was seen"
        world.unfit = None
        world.is_fit.set()
        world.lead()
        await wait_all_tasks_blocked()
        assert world.is_in(State.ACTIVE)


async def test_who_must_not_lead_makes_room_for_others_and_stands_again(autojump_clock: MockClock) -> None:
    world = World()
    world.lead()
    world.refusals = [Refused("another quorum is on record")]
    async with world.alive():
        assert world.did[-2:] == ["stand", "withdraw"]
        assert world.stats.get("scheduler_unfit_to_lead_because") == "another quorum is on record"
        await trio.sleep(LOOK_S + 1)
        assert world.is_in(State.ACTIVE)
        assert world.stats.get("scheduler_fit_to_lead") == 1


@pytest.mark.parametrize("reached", ["nothing", "prepared", "elected", "registered", "active"])
async def test_cancelled_anywhere_it_closes_everything_and_leaves(reached: str) -> None:
    world = World()
    world.lead()
    missing = trio.Event()
    if reached == "nothing":
        world.prepared = missing
    elif reached == "prepared":
        world.is_elected = missing
    elif reached == "elected":
        world.is_led = missing
    elif reached == "registered":
        world.is_registered = missing
    async with world.alive():
        pass
    assert world.is_in(State.DEAD)
    assert world.did[-2:] == ["stop serving", "withdraw"]
    assert world.did.count("open log") == world.did.count("close log") + (reached == "nothing")
    assert world.did.count("open storage") == world.did.count("close storage")


async def failure_of(run: Callable[[], Awaitable[None]]) -> type[BaseException]:
    """The one error that comes out, in however many groups."""
    with pytest.raises(BaseExceptionGroup) as caught:
        await run()
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    return type(error)
