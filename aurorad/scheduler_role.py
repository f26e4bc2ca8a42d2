"""One scheduler's life, from reading its disk to leaving the others in order (storage sheet, B2).

    disk -> follows the log (warm) -> elected -> writes to the log -> known to the engine -> serves -> ends

It ends when it is told to, and whenever it cannot lead any more: a process leads once, and its supervisor starts the
next one. Whoever ends answers the requests it has, leaves the candidates, lets go of the engine, whose tasks go on, and
of the storage, in this order; after an error, which ends the latter two at once, it does the former two all the same.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Generic, Protocol, TypeVar

import trio

from aurorad.leader.face import Defeated, Leadership
from aurorad.lifecycle import Ending, Lifecycle, State
from aurorad.log.errors import NotElected, Refused
from aurorad.log.face import LedLog
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.vars import Vars

_log = logging.getLogger("aurorad.lifecycle")

# How often somebody who cannot lead looks whether the reason is another one.
LOOK_S = 5.0


class Followed(Protocol):
    """The state of the cluster, kept by who does not lead."""

    @property
    def log(self) -> LedLog: ...

    @property
    def tables(self) -> Tables:
        """The same ones before and after leading."""

    def leading(self) -> AbstractAsyncContextManager[Storage]:
        """Once the log is led: all that is in it, and the storage that writes to it."""


class Reign(Protocol):
    """All that only a leader has."""

    @property
    def registered(self) -> trio.Event:
        """Set when the engine knows us."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Schedule until cancelled; started when calls can be answered."""

    async def wind_up(self) -> None:
        """What is to be done at the end, before somebody else leads."""


AnyReign = TypeVar("AnyReign", bound=Reign)
ItsReign = TypeVar("ItsReign", bound=Reign, contravariant=True)


class Front(Protocol[ItsReign]):
    """What is served over HTTP."""

    async def follow(self, state: Followed) -> None:
        """Serve what a follower may."""

    async def lead(self, reign: ItsReign) -> None:
        """Serve what a leader does, from now on."""

    async def stop(self) -> None:
        """Open requests have their grace. May be called again."""


class SchedulerRole(Generic[AnyReign]):
    """`run` is the life. What it is made of comes from outside, so that tests can be its log, engine and clock."""

    def __init__(
        self,
        *,
        lifecycle: Lifecycle,
        ending: Ending,
        leadership: Leadership,
        follow: Callable[[], AbstractAsyncContextManager[Followed]],
        begin_reign: Callable[[Storage], Awaitable[AnyReign]],
        front: Front[AnyReign],
        stats: Vars,
        alone: bool,
        election_attempts: int,
        max_registration_delay_s: float,
        max_leading_duration_s: float,
    ) -> None:
        """`alone` has nobody to make room for, and shows nothing before it leads: who comes early waits a moment.

        `election_attempts`: how often it tries to lead the log before it ends.
        """
        self._lifecycle = lifecycle
        self._ending = ending
        self._leadership = leadership
        self._follow = follow
        self._begin_reign = begin_reign
        self._front = front
        self._alone = alone
        self._election_attempts = election_attempts
        self._max_registration_delay_s = max_registration_delay_s
        self._max_leading_duration_s = max_leading_duration_s
        self._innermost = trio.CancelScope()
        self._reign: Reign | None = None
        self._has_served = False
        self.unfit: str | None = None
        """Why it cannot lead now, in a sentence; None if it can, or does."""
        self._elected_at = 0.0
        self._takeover_s = 0.0
        stats.gauge("scheduler_takeover_ms", lambda: round(self._takeover_s * 1000))
        stats.gauge("scheduler_fit_to_lead", lambda: int(self.unfit is None))
        stats.gauge("scheduler_unfit_to_lead_because", lambda: self.unfit or "")

    def doing(self) -> str:
        """What this scheduler does now: its state, and a few words for people."""
        return f"{self._lifecycle.state}: {self._in_words()}"

    def _in_words(self) -> str:
        if self._ending.begun.is_set():
            return f"ends: {self._ending.why or 'it was told to'}"
        match self._lifecycle.state:
            case State.IDLE | State.PREPARING_STORAGE:
                return "reads its disk"
            case State.STORAGE_PREPARED if self.unfit is not None:
                return f"cannot lead: {self.unfit}"
            case State.STORAGE_PREPARED:
                leaders = ", ".join(f"{leader.host}:{leader.port}" for leader in self._leadership.leaders)
                return f"follows {leaders or 'the log; nobody leads'}"
            case State.LEADER_AWAITING_REGISTRATION:
                return "is about to lead, and waits for the engine"
            case State.ACTIVE:
                return "leads"
            case State.DEAD:
                return "ends"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until the end; started as soon as it serves. Errors of log, leadership or engine come out in a group."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._leadership.run)
            try:
                async with trio.open_nursery() as living:
                    living.start_soon(self._end_in_order)
                    await self._live(task_status)
                    living.cancel_scope.cancel()
            finally:
                with trio.CancelScope(shield=True):
                    await self._leave()
            self._serves(task_status)  # it was told to end before it did
            nursery.cancel_scope.cancel()

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        self._lifecycle.enter(State.PREPARING_STORAGE)
        async with self._follow() as state:
            with self._stoppable() as following:
                await self._enter(State.STORAGE_PREPARED)
                if not self._alone:
                    await self._front.follow(state)
                    self._serves(task_status)
                await self._stand(state.log)
                await self._enter(State.LEADER_AWAITING_REGISTRATION)
            if following.cancelled_caught:
                return
            async with state.leading() as storage:
                with self._stoppable():
                    await self._lead(state.log, storage, task_status)

    async def _stand(self, log: LedLog) -> None:
        """Until the log is ours to write. Raises `NotElected`.

        Who fails makes room: it may be the only one that cannot reach the others.
        """
        failures = 0
        while True:
            await self._until_fit(log)
            if not await self._elected_while_fit(log):
                continue
            self._elected_at = trio.current_time()
            try:
                await log.lead()
            except Refused as refusal:
                self._tell_unfit(str(refusal))
                await self._leadership.withdraw()
                await trio.sleep(LOOK_S)
            except NotElected as failure:
                failures += 1
                _log.warning("attempt %d of %d to lead the log: %s", failures, self._election_attempts, failure)
                if failures == self._election_attempts:
                    raise
                await self._leadership.withdraw()
            else:
                self.unfit = None
                return

    async def _elected_while_fit(self, log: LedLog) -> bool:
        """Whether it was elected before there was a reason not to be."""
        is_elected = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_when_unfit, log, nursery.cancel_scope)
            await self._leadership.elected()
            is_elected = True
            nursery.cancel_scope.cancel()
        return is_elected

    async def _cancel_when_unfit(self, log: LedLog, scope: trio.CancelScope) -> None:
        while log.unfit is None:  # noqa: ASYNC110 - nobody tells when there is a reason
            await trio.sleep(LOOK_S)
        scope.cancel()

    async def _until_fit(self, log: LedLog) -> None:
        while (why := log.unfit) is not None:
            self._tell_unfit(why)
            await self._leadership.withdraw()  # for others to lead; once more, for out of ZooKeeper's reach it fails
            with trio.move_on_after(LOOK_S):
                await log.fit()
        self.unfit = None

    def _tell_unfit(self, why: str) -> None:
        if why != self.unfit:
            _log.warning("this scheduler cannot lead: %s", why)
        self.unfit = why

    async def _lead(self, log: LedLog, storage: Storage, task_status: trio.TaskStatus[None]) -> None:
        reign = await self._begin_reign(storage)
        async with trio.open_nursery() as services:
            services.start_soon(self._end_when, self._leadership.defeated)
            services.start_soon(self._end_when, log.lost)
            services.start_soon(self._end_when, self._replaced, storage)
            services.start_soon(self._end_when, self._led_long_enough)
            services.start_soon(self._await_registration, reign)
            await services.start(reign.run)
            await self._enter(State.ACTIVE)
            self._reign = reign
            await self._front.lead(reign)
            self._takeover_s = trio.current_time() - self._elected_at
            self._say("leads, %.2f s after its election", self._takeover_s)
            self._serves(task_status)
            try:
                await self._leadership.advertise()
            except Defeated as defeat:
                self._ending.because(str(defeat))

    def _say(self, what: str, *args: object) -> None:
        _log.log(logging.DEBUG if self._alone else logging.INFO, what, *args)

    def _serves(self, task_status: trio.TaskStatus[None]) -> None:
        if not self._has_served:
            self._has_served = True
            task_status.started()

    async def _led_long_enough(self) -> str:
        await trio.sleep(self._max_leading_duration_s)
        return f"led for -max_leading_duration={self._max_leading_duration_s:g}secs"

    async def _replaced(self, storage: Storage) -> str:
        await storage.replaced.wait()
        return "a recovery was committed"

    async def _await_registration(self, reign: Reign) -> None:
        delay_s = self._max_registration_delay_s
        with trio.move_on_after(delay_s) as patience:
            await reign.registered.wait()
        if patience.cancelled_caught:
            self._ending.because(f"not registered with the engine within -max_registration_delay={delay_s:g}secs")

    async def _end_when(self, why: Callable[..., Awaitable[str]], *args: object) -> None:
        self._ending.because(await why(*args))

    async def _enter(self, state: State) -> None:
        """Unless the end has begun: then it is cancelled here."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._lifecycle.enter(state)
        self._say("%s", state)

    @contextlib.contextmanager
    def _stoppable(self) -> Iterator[trio.CancelScope]:
        """What is cancelled first in the end; around it things are closed."""
        with trio.CancelScope() as self._innermost:
            if self._ending.begun.is_set():
                self._innermost.cancel()
            yield self._innermost

    async def _end_in_order(self) -> None:
        await self._ending.begun.wait()
        if self._lifecycle.state is not State.ACTIVE:
            self._innermost.cancel()  # nobody waits for a leader's answer
        await self._leave(self._reign)
        self._innermost.cancel()

    async def _leave(self, reign: Reign | None = None) -> None:
        """May be done again: something can fail meanwhile. With a reign whose services are all there, wind that up."""
        self._lifecycle.enter(State.DEAD)
        await self._front.stop()
        if reign is not None:
            await reign.wind_up()
        await self._leadership.withdraw()
