"""The engine that the scheduler is given: the cluster, over a network that delays, loses, repeats and reorders.

Only what must be survivable happens: calls come in the order in which they were made, or not at all; so do events, but
for status updates, which may come late, twice, and in any order. What a disconnect cuts off is gone.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Protocol

import trio

from aurorad.engine.base import (
    Disconnected,
    Event,
    Offers,
    Registered,
    Rescind,
    StatusUpdate,
    TaskInfo,
)
from aurorad.vars import Vars
from tests.simulation.cluster import Cluster, Session
from tests.simulation.timeline import Timeline
from tests.simulation.trace import Trace

FRAMEWORK_ID = "framework-1"
ENDS_S = 2.0
_BREAKS = "scheduler_framework_disconnects"
"""So long after another one took its place at most a scheduler still makes calls, which nobody hears."""


@dataclasses.dataclass
class Odds:
    """What the network does to a message."""

    loss: float = 0.0
    repetition: float = 0.0
    delay_s: float = 0.002
    """Each takes from nothing to this long."""
    straggling: float = 0.0
    """The part of the status updates that take up to `straggle_s` and so may be overtaken."""
    straggle_s: float = 0.0

    def calm(self) -> None:
        self.loss = self.repetition = self.straggling = 0.0
        self.delay_s = 0.002


class EngineWatch(Protocol):
    """Who judges what the scheduler tells the engine, at the moment at which it does."""

    def offered(self, event: Offers, to: Session) -> None: ...
    def offers_void(self, of: Session, heard: Callable[[], bool]) -> None: ...
    def launching(self, offer_id: str, tasks: tuple[TaskInfo, ...]) -> None: ...
    def declining(self, offer_id: str) -> None: ...
    def killing(self, task_id: str) -> None: ...
    def acknowledging(self, update: StatusUpdate) -> None: ...


class Connection:
    """The engine of one incarnation of the scheduler. It implements `aurorad.engine.base.Engine`."""

    def __init__(
        self,
        cluster: Cluster,
        timeline: Timeline,
        odds: Odds,
        rng: random.Random,
        trace: Trace,
        watch: EngineWatch,
        number: int = 0,
    ) -> None:
        self.number = number
        self.is_asleep: Callable[[], bool] = lambda: False
        """Whether its scheduler stands still, or cannot have read all since it did."""
        self.breaks_heard: Callable[[], int] = lambda: 0
        """How many `Disconnected` its scheduler has dealt with, in all its time."""
        self._cluster = cluster
        self._timeline = timeline
        self._odds = odds
        self._rng = rng
        self._trace = trace
        self._watch = watch
        self._events: trio.MemorySendChannel[Event] | None = None
        self._replaced = trio.Event()
        self._breaks = 0
        self._session = 0
        self._is_connected = False
        self._last_call_s = self._last_event_s = 0.0

    def heard_by(self, stats: Vars) -> None:
        """The statistics of its scheduler."""
        before = int(stats.get(_BREAKS))
        self.breaks_heard = lambda: int(stats.get(_BREAKS)) - before

    async def run(self, events: trio.MemorySendChannel[Event], framework_id: str | None) -> None:
        self._events = events
        self._register(framework_id or FRAMEWORK_ID)
        try:
            await self._replaced.wait()
        finally:
            self.close()

    def close(self) -> None:
        """The scheduler is gone: nothing of it arrives any more, nor anything at it."""
        if self._events is not None:
            self._events = None
            self._session += 1
            self._is_connected = False
            self._cluster.disconnect(self)

    def break_for(self, duration_s: float) -> None:
        """Disconnect, and connect again later; what is under way is lost."""
        if self._is_connected and self._events is not None:
            self._session += 1
            self._is_connected = False
            self._cluster.disconnect(self)
            self._trace("network", f"disconnected for {duration_s:.3f} s")
            self._send(Disconnected())
            self._breaks += 1
            told = self._breaks
            self._watch.offers_void(self, lambda: self.breaks_heard() >= told and not self.is_asleep())
            session = self._session
            self._timeline.after(duration_s, lambda: self._reconnect(session))

    def _reconnect(self, session: int) -> None:
        if self._session == session and self._events is not None:
            self._register(FRAMEWORK_ID)

    def replaced(self) -> None:
        """Another scheduler is connected: this one is told so, and is never heard again."""
        self._session += 1
        self._is_connected = False
        self._trace("network", f"connection {self.number} is replaced")
        self._timeline.after(self._delay(), self._replaced.set)
        by = trio.current_time() + ENDS_S
        self._watch.offers_void(self, lambda: trio.current_time() > by and not self.is_asleep())

    def _register(self, framework_id: str) -> None:
        assert self._events is not None
        if not self._cluster.connect(self):
            self._replaced.set()
            return
        self._trace("network", f"registered {framework_id}")
        self._is_connected = True
        self._send(Registered(framework_id))

    # Events.

    def tell(self, event: Event) -> None:
        """An event of the master, on its way."""
        if isinstance(event, StatusUpdate):
            if self._happens(self._odds.loss):
                self._trace("network", f"loses {event.state.value} {event.task_id}")
                return
            delay_s = self._delay()
            if self._happens(self._odds.straggling):
                delay_s = self._rng.random() * self._odds.straggle_s
            self._arrive_after(delay_s, event)
            if self._happens(self._odds.repetition):
                self._arrive_after(self._rng.random() * self._odds.straggle_s, event)
        else:
            self._last_event_s = max(trio.current_time() + self._delay(), self._last_event_s)
            self._arrive_at(self._last_event_s, event)

    def _arrive_after(self, delay_s: float, event: Event) -> None:
        self._arrive_at(trio.current_time() + delay_s, event)

    def _arrive_at(self, at: float, event: Event) -> None:
        session = self._session

        def arrive() -> None:
            if self._session != session or self._events is None:
                return
            self._trace("event", _told(event))
            if isinstance(event, Offers):
                self._watch.offered(event, self)
            self._send(event)

        self._timeline.at(at, arrive)

    def _send(self, event: Event) -> None:
        assert self._events is not None
        self._events.send_nowait(event)

    # Calls.

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        if self._makes(f"launch {offer_id} {' '.join(task.task_id for task in tasks)}"):
            self._watch.launching(offer_id, tasks)
        await self._call(lambda: self._cluster.launch(offer_id, tasks, refuse_s))

    async def decline(self, offer_id: str, refuse_s: float) -> None:
        if self._makes(f"decline {offer_id}"):
            self._watch.declining(offer_id)
        await self._call(lambda: self._cluster.decline(offer_id, refuse_s))

    async def suppress(self) -> None:
        self._makes("suppress")
        await self._call(self._cluster.suppress)

    async def revive(self) -> None:
        self._makes("revive")
        await self._call(self._cluster.revive)

    async def kill(self, task_id: str) -> None:
        if self._makes(f"kill {task_id}"):
            self._watch.killing(task_id)
        await self._call(lambda: self._cluster.kill(task_id))

    async def acknowledge(self, update: StatusUpdate) -> None:
        if self._makes(f"acknowledge {update.state.value} {update.task_id}"):
            self._watch.acknowledging(update)
        await self._call(lambda: self._cluster.acknowledge(update))

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        self._makes(f"reconcile {' '.join(task_ids) or 'all'}")
        await self._call(lambda: self._cluster.reconcile(task_ids))

    def _makes(self, call: str) -> bool:
        """Whether the scheduler that makes the call is alive."""
        if self._events is None:
            return False
        self._trace("call", call)
        return True

    async def _call(self, arrive: Callable[[], None]) -> None:
        session = self._session
        if self._events is not None and self._is_connected and not self._happens(self._odds.loss):
            self._last_call_s = max(trio.current_time() + self._delay(), self._last_call_s)
            self._timeline.at(self._last_call_s, lambda: arrive() if self._session == session else None)
        await trio.lowlevel.checkpoint()
        if self._happens(self._odds.straggling):  # an engine takes its time now and then
            await trio.sleep(self._rng.random() * self._odds.delay_s)

    def _delay(self) -> float:
        return self._rng.random() * self._odds.delay_s

    def _happens(self, odds: float) -> bool:
        return odds > 0 and self._rng.random() < odds


def _told(event: Event) -> str:
    match event:
        case Offers():
            return f"offers {' '.join(f'{offer.id} of {offer.agent_id} {offer.hostname}' for offer in event.offers)}"
        case StatusUpdate():
            return f"{event.state.value} {event.task_id} {event.reason or ''}".rstrip()
        case Rescind():
            return f"rescind {event.offer_id}"
        case _:
            return type(event).__name__
