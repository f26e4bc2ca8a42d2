"""An engine at work, for tests: what it tells is kept and waited for, and answered as a scheduler would."""

from __future__ import annotations

import contextlib
import functools
import math
import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import msgspec
import trio

from aurorad.engine import base
from aurorad.engine.base import Resource, StatusUpdate, TaskInfo, TaskState
from aurorad.engine.mesos import translate
from aurorad.engine.mesos.engine import MesosEngine
from aurorad.engine.mesos.framework import framework_info
from aurorad.engine.mesos.messages import Id
from aurorad.vars import Vars

PATIENCE_S = 300.0

E = TypeVar("E", bound=base.Event)


class _Command(msgspec.Struct):
    value: str


class _Executor(msgspec.Struct):
    executor_id: Id
    framework_id: Id
    command: _Command
    type: str = "CUSTOM"


class _Task(msgspec.Struct, omit_defaults=True):
    name: str
    task_id: Id
    agent_id: Id
    resources: tuple[msgspec.Struct, ...]
    command: _Command | None = None
    executor: _Executor | None = None


class Commands:
    """Tasks are what their data says, in a shell; those with an executor have that as their executor."""

    def task(self, info: TaskInfo, framework_id: str) -> msgspec.Struct:
        command = _Command(info.data.decode())
        executor = _Executor(Id(info.executor_id), Id(framework_id), command) if info.executor_id else None
        return _Task(
            info.name,
            Id(info.task_id),
            Id(info.agent_id),
            tuple(map(translate.wire_resource, info.resources)),
            command if executor is None else None,
            executor,
        )


def engine_at(masters: str, stats: Vars | None = None, **settings: Any) -> MesosEngine:
    """`settings` are the engine's, ``role`` and ``partition_aware`` the framework's."""
    framework = framework_info(
        name="test",
        user="root",
        failover_timeout_s=600.0,
        role=settings.pop("role", None),
        principal=None,
        hostname="scheduler.example",
        webui_url="http://scheduler.example:8081",
        revocable=False,
        gpus=False,
        partition_aware=settings.pop("partition_aware", False),
    )
    settings.setdefault("credential", None)
    settings.setdefault("launching", Commands())
    return MesosEngine(masters=masters, framework=framework, stats=stats or Vars(), rng=random.Random(1), **settings)


class Session:
    """`heard` is what was waited for."""

    def __init__(self, engine: MesosEngine) -> None:
        self.engine = engine
        self.send, self._events = trio.open_memory_channel[base.Event](math.inf)
        self._seen: list[base.Event] = []
        self._offers: dict[str, base.Offer] = {}
        self.heard: list[base.Event] = []
        self.framework_id: str | None = None

    async def hear(self, kind: type[E], such: Callable[[E], bool] = lambda event: True) -> E:
        """The next such event, also of those that were passed over in waiting for others."""
        passed_over = 0
        with trio.fail_after(PATIENCE_S):
            while True:
                for event in self._seen[passed_over:]:
                    if isinstance(event, kind) and such(event):
                        self._seen.remove(event)
                        self.heard.append(event)
                        return event
                passed_over = len(self._seen)
                await self._see()

    async def _see(self) -> None:
        event = await self._events.receive()
        self._seen.append(event)
        match event:
            case base.Registered(framework_id):
                self.framework_id = framework_id
            case base.Disconnected():
                self._offers.clear()
            case base.Offers(offers):
                self._offers.update({offer.id: offer for offer in offers})
            case base.Rescind(offer_id):
                self._offers.pop(offer_id, None)
            case StatusUpdate(uuid=uuid) if uuid is not None:
                await self.engine.acknowledge(event)

    async def state(self, task_id: str, *states: TaskState) -> StatusUpdate:
        """The update with the last of these states, which the task has one after the other."""
        for state in states:
            update = await self.hear(StatusUpdate, functools.partial(_is, task_id, state))
        return update

    async def offer(self, such: Callable[[base.Offer], bool] = lambda offer: True) -> base.Offer:
        """One that is held, from now on the caller's."""
        with trio.fail_after(PATIENCE_S):
            while not (fitting := [id_ for id_, offer in self._offers.items() if such(offer)]):
                await self._see()
        return self._offers.pop(fitting[0])

    async def done(self) -> list[base.Event]:
        """What was heard, once all calls are answered."""
        subscription = self.engine._subscription
        while subscription is not None and subscription.calls._unanswered:  # noqa: ASYNC110
            await trio.sleep(0.01)
        return self.heard

    async def decline_all(self) -> None:
        for id_ in list(self._offers):
            del self._offers[id_]
            await self.engine.decline(id_, 0.0)


def _is(task_id: str, state: TaskState, update: StatusUpdate) -> bool:
    return update.task_id == task_id and update.state is state


def task(offer: base.Offer, task_id: str, command: str = "sleep 1000", executor: str = "") -> TaskInfo:
    return TaskInfo(
        task_id=task_id,
        name="test",
        agent_id=offer.agent_id,
        resources=(Resource("cpus", 0.1), Resource("mem", 32.0)),
        executor_id=executor,
        executor_resources=(),
        source="test",
        labels=(),
        data=command.encode(),
    )


@contextlib.asynccontextmanager
async def session(engine: MesosEngine, framework_id: str | None = None) -> AsyncIterator[Session]:
    """The engine runs within."""
    it = Session(engine)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, it.send, framework_id)
        yield it
        nursery.cancel_scope.cancel()


def observed(events: Sequence[base.Event]) -> list[str]:
    """What was heard, but for what is different every time."""
    return [_observed(event) for event in events]


def _observed(event: base.Event) -> str:
    match event:
        case StatusUpdate():
            has = "acknowledgeable" if event.uuid is not None else "told once"
            agent = "on an agent" if event.agent_id is not None else "nowhere"
            return f"{event.task_id} {event.state} {event.reason} {event.source} {event.message!r} {agent} {has}"
        case base.ExecutorLost():
            return f"ExecutorLost {event.executor_id} {event.status}"
        case base.InverseOffer():
            return f"InverseOffer {event.hostname} {event.unavailability_start_ms}"
        case _:
            return type(event).__name__
