"""A Mesos cluster as an engine: finds the leading master, stays subscribed to it, and comes back whenever that ends."""

from __future__ import annotations

import functools
import logging
import math
import random
from typing import Protocol

import msgspec
import trio

from aurorad.engine import base
from aurorad.engine.base import Disconnected, Registered, StatusUpdate, TaskInfo, TaskState
from aurorad.engine.mesos import messages, offers, translate
from aurorad.engine.mesos.connection import ANSWER_S, Subscription, subscribed
from aurorad.engine.mesos.ends import FrameworkFailed as FrameworkFailed
from aurorad.engine.mesos.ends import FrameworkRemoved as FrameworkRemoved
from aurorad.engine.mesos.ends import Lost, NotReady, until_over
from aurorad.engine.mesos.framework import Credential
from aurorad.engine.mesos.launching import Unlaunchable
from aurorad.engine.mesos.masters import Address, Masters, masters_at
from aurorad.engine.mesos.messages import Call, Filters, FrameworkInfo, Id
from aurorad.engine.mesos.pipeline import Answered
from aurorad.engine.mesos.unheard import Unheard
from aurorad.engine.recordio import Records
from aurorad.pace import Pace
from aurorad.vars import Vars

_log = logging.getLogger(__name__)

_HEARTBEAT_S = 15.0  # where a master does not say
_FIRST_WAIT_S, _MOST_WAIT_S = 1.0, 60.0  # scheduling sheet, section 11
_MOST_WAIT_FOR_RECOVERY_S = 5.0  # a master that is about to lead says so at little cost
_WAS_WELL_S = 1.0
"""A subscription that lasted so long is made again at once; with one that did not, that could go on for ever."""

_REMOVED = "Framework has been removed"
_ACCEPTED, _BAD_CALL = 202, 400
_NOT_SUBSCRIBED = ("The stream ID", "Framework cannot be found", "All non-subscribe calls")
"""What a bad call's answer begins with if it is not the call that is bad."""


class Launching(Protocol):
    def task(self, info: TaskInfo, framework_id: str) -> msgspec.Struct:
        """Mesos' TaskInfo of a task. Raises `Unlaunchable`."""


class MesosEngine:
    """`aurorad.engine.base.Engine` over the v1 scheduler API.

    Calls are sent and not waited for. What any master can be told waits until there is a subscription; what is about
    an offer or an update of an earlier one is void with it. Tasks that were launched over an earlier one, and of which
    nothing was heard since, are asked about until there is an answer.
    """

    def __init__(
        self,
        *,
        masters: str,
        framework: FrameworkInfo,
        credential: Credential | None,
        launching: Launching,
        stats: Vars,
        rng: random.Random,
        missed_heartbeats: float = 5.0,
    ) -> None:
        """`masters` is what ``-mesos_master_address`` says, `framework` has no id yet.

        A connection that was silent for `missed_heartbeats` times the master's interval is dead.
        """
        self._masters = masters
        self._framework = framework
        self._authorization = credential.header() if credential is not None else None
        self._launching = launching
        self._stats = stats
        self._rng = rng
        self._missed_heartbeats = missed_heartbeats
        self._framework_id: str | None = None
        self._subscription: Subscription | None = None
        self._subscribed_at = -math.inf
        self._is_subscribed = trio.Event()
        self._unheard = Unheard()
        self._patience_s = ANSWER_S
        self._decode = msgspec.json.Decoder(messages.Event).decode
        self._events: trio.MemorySendChannel[base.Event]
        self._dropped_send, self._dropped = trio.open_memory_channel[StatusUpdate](math.inf)
        stats.declare("mesos_scheduler_subscription_attempts", "mesos_scheduler_call_failures")
        stats.declare("scheduler_driver_kill_failures", "scheduler_framework_message")
        stats.declare(*(f"mesos_scheduler_event_{type_}" for type_ in messages.EVENT_TYPES))
        stats.declare_sliding("scheduler_received", "nanos")

    async def run(self, events: trio.MemorySendChannel[base.Event], framework_id: str | None) -> None:
        """As `Engine.run`. Raises `FrameworkFailed`, and in a group `ZooKeeperRefused`."""
        self._events = events
        self._framework_id = framework_id
        async with masters_at(self._masters) as masters, trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_dropped)
            failure = await self._until_failed(masters)
            nursery.cancel_scope.cancel()
        raise failure

    # Subscriptions, one after the other.

    async def _until_failed(self, masters: Masters) -> FrameworkFailed:
        failures = 0
        while True:
            leader = await masters.leader()
            try:
                await self._subscribe(masters, leader)
            except FrameworkFailed as failure:
                return failure
            except Lost as lost:
                why = lost
            was_well = trio.current_time() - self._subscribed_at >= _WAS_WELL_S
            failures = 0 if was_well and self._subscription is not None else failures + 1
            wait_s = self._wait_s(failures, _MOST_WAIT_FOR_RECOVERY_S if isinstance(why, NotReady) else _MOST_WAIT_S)
            _log.warning("not subscribed at a Mesos master: %s; trying again in %.1f s", why, wait_s)
            if self._subscription is not None:
                self._subscription = None
                self._is_subscribed = trio.Event()
                self._unheard.doubt()
                await self._tell(Disconnected())
            with trio.move_on_after(wait_s):
                await masters.another(leader)

    def _wait_s(self, failures: int, most_s: float) -> float:
        if failures == 0:
            return 0.0
        return min(_FIRST_WAIT_S * 2.0 ** min(failures - 1, 10), most_s) * self._rng.uniform(0.5, 1.0)

    async def _subscribe(self, masters: Masters, leader: Address) -> None:
        """Raises `Over` when the subscription is over."""
        self._stats.count("mesos_scheduler_subscription_attempts")
        async with subscribed(leader, self._subscribe_call(), self._authorization) as subscription:
            await until_over(
                functools.partial(self._hear, subscription),
                subscription.calls.run,
                functools.partial(_until_another, masters, leader),
                functools.partial(self._ask_about_doubted, subscription),
            )

    def _subscribe_call(self) -> bytes:
        id_ = Id(self._framework_id) if self._framework_id is not None else None
        framework = msgspec.structs.replace(self._framework, id=id_)
        return msgspec.json.encode(Call("SUBSCRIBE", framework_id=id_, subscribe=messages.Subscribe(framework)))

    # Events.

    async def _hear(self, subscription: Subscription) -> None:
        """Raises `Over`. Nobody misses heartbeats while somebody is slow to take events: only waiting is timed."""
        records, pace = Records(bytes), Pace()
        self._patience_s = ANSWER_S
        while True:
            data = await subscription.receive(self._patience_s)
            try:
                for record in records.feed(data):
                    began = trio.current_time()
                    await self._handle(record, subscription)
                    self._stats.observe("scheduler_received", trio.current_time() - began)
                    await pace.breathe()
            except ValueError as error:
                raise Lost(f"what the master tells cannot be read: {error}") from error

    async def _handle(self, record: bytes, subscription: Subscription) -> None:
        if offers.is_large(record):
            self._stats.count("mesos_scheduler_event_OFFERS")
            await self._tell(base.Offers(await offers.read_large(record)))
            return
        event = self._decode(record)
        type_ = event.type if event.type in messages.EVENT_TYPES else "UNKNOWN"
        self._stats.count(f"mesos_scheduler_event_{type_}")
        if event.update is not None:
            await self._updated(translate.status_update(event.update.status))
        elif event.offers is not None:
            await self._tell(base.Offers(await offers.read(event.offers.offers)))
        elif event.rescind is not None:
            await self._tell(base.Rescind(event.rescind.offer_id.value))
        elif event.inverse_offers is not None:
            await self._announced(event.inverse_offers, subscription)
        elif event.failure is not None:
            failure = translate.failure(event.failure)
            if failure is not None:
                await self._tell(failure)
        elif event.subscribed is not None:
            await self._registered(event.subscribed, subscription)
        elif event.error is not None:
            raise self._failure(event.error.message)
        elif type_ == "MESSAGE":
            self._stats.count("scheduler_framework_message")

    async def _registered(self, subscribed: messages.Subscribed, subscription: Subscription) -> None:
        framework_id = subscribed.framework_id.value
        _log.info("subscribed at the Mesos master %s as framework %s", subscription.address, framework_id)
        self._framework_id = framework_id
        self._subscription = subscription
        self._subscribed_at = trio.current_time()
        self._patience_s = self._missed_heartbeats * (subscribed.heartbeat_interval_seconds or _HEARTBEAT_S)
        self._is_subscribed.set()
        await self._tell(Registered(framework_id))

    async def _updated(self, update: StatusUpdate) -> None:
        self._unheard.heard(update)
        await self._tell(update)

    async def _announced(self, made: messages.InverseOffers, subscription: Subscription) -> None:
        """Agree to what an operator has decided; the scheduler makes room in time."""
        ids = tuple(each.id for each in made.inverse_offers)
        accept = messages.AcceptInverseOffers(ids, Filters())
        await self._call(subscription, Call("ACCEPT_INVERSE_OFFERS", accept_inverse_offers=accept))
        for each in made.inverse_offers:
            await self._tell(translate.inverse_offer(each))

    def _failure(self, text: str) -> FrameworkFailed:
        if _REMOVED in text:
            return FrameworkRemoved(
                f"Mesos has removed framework {self._framework_id} with all its tasks ({text}): nobody can go on as "
                f"this framework. With -forget_framework={self._framework_id} there will be a new one, for which all "
                "tasks are lost, and started again"
            )
        return FrameworkFailed(f"the Mesos master ends the subscription: {text}")

    async def _tell(self, event: base.Event) -> None:
        try:
            self._events.send_nowait(event)
        except trio.WouldBlock:
            await self._events.send(event)

    # Launches that do not reach an agent.

    async def _ask_about_doubted(self, subscription: Subscription) -> None:
        await self._is_subscribed.wait()
        pause_s = _FIRST_WAIT_S
        while doubted := self._unheard.doubted():
            await self._call(subscription, Call("RECONCILE", reconcile=messages.Reconcile(doubted)))
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, _MOST_WAIT_S)

    def _drop(self, tasks: tuple[TaskInfo, ...], state: TaskState, reason: str, message: str) -> None:
        """These were certainly not launched, and nobody else will tell so."""
        for task in self._unheard.forget(tasks):
            update = StatusUpdate(task.task_id, state, task.agent_id, message, reason, "SOURCE_MASTER")
            self._dropped_send.send_nowait(update)

    async def _tell_dropped(self) -> None:
        async for update in self._dropped:
            await self._tell(update)

    # Calls.

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        self._unheard.launched(tasks)
        if self._subscription is None or self._framework_id is None:  # Mesos' own driver says the same then
            self._drop(tasks, TaskState.TASK_DROPPED, "REASON_MASTER_DISCONNECTED", "Master disconnected")
            return
        launched = [(task, wire) for task in tasks if (wire := self._task(task, self._framework_id)) is not None]
        if not launched:
            await self.decline(offer_id, refuse_s)
            return
        launch = messages.Launch(tuple(wire for _, wire in launched))
        accept = messages.Accept((Id(offer_id),), (messages.Operation("LAUNCH", launch),), Filters(refuse_s))
        answered = functools.partial(self._launch_answered, tuple(task for task, _ in launched))
        await self._call(self._subscription, Call("ACCEPT", accept=accept), answered)

    def _task(self, task: TaskInfo, framework_id: str) -> msgspec.Struct | None:
        try:
            return self._launching.task(task, framework_id)
        except Unlaunchable as error:
            self._drop((task,), TaskState.TASK_ERROR, "REASON_TASK_INVALID", str(error))
        return None

    async def decline(self, offer_id: str, refuse_s: float) -> None:
        if self._subscription is not None:
            decline = messages.Decline((Id(offer_id),), Filters(refuse_s))
            await self._call(self._subscription, Call("DECLINE", decline=decline))

    async def kill(self, task_id: str) -> None:
        await self._call_any(Call("KILL", kill=messages.Kill(Id(task_id))))

    async def acknowledge(self, update: StatusUpdate) -> None:
        assert update.uuid is not None
        assert update.agent_id is not None
        if self._subscription is not None:
            acknowledge = messages.Acknowledge(Id(update.agent_id), Id(update.task_id), update.uuid)
            await self._call(self._subscription, Call("ACKNOWLEDGE", acknowledge=acknowledge))

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        tasks = tuple(messages.ReconciledTask(Id(task_id)) for task_id in task_ids)
        await self._call_any(Call("RECONCILE", reconcile=messages.Reconcile(tasks)))

    async def suppress(self) -> None:
        """No more offers; forgotten with the subscription."""
        if self._subscription is not None:
            await self._call(self._subscription, Call("SUPPRESS"))

    async def revive(self) -> None:
        """Offers of everything there is, whatever was declined or suppressed."""
        if self._subscription is not None:
            await self._call(self._subscription, Call("REVIVE"))

    async def _call_any(self, call: Call) -> None:
        """Waits for a subscription."""
        while self._subscription is None:
            await self._is_subscribed.wait()
        await self._call(self._subscription, call)

    async def _call(self, subscription: Subscription, call: Call, answered: Answered | None = None) -> None:
        assert self._framework_id is not None
        body = msgspec.json.encode(msgspec.structs.replace(call, framework_id=Id(self._framework_id)))
        await subscription.calls.call(body, answered or functools.partial(self._answered, call.type))

    def _answered(self, type_: str, status: int, text: str) -> None:
        """Raises `Lost` if it is not the call that is refused: who answers so does not lead, or know us, any more."""
        if status == _ACCEPTED:
            return
        self._stats.count("mesos_scheduler_call_failures")
        if type_ == "KILL":
            self._stats.count("scheduler_driver_kill_failures")
        if status != _BAD_CALL or text.startswith(_NOT_SUBSCRIBED):
            raise Lost(f"a call is refused: {status} {text}".rstrip())
        _log.error("the Mesos master refuses %s: %d %s", type_, status, text)

    def _launch_answered(self, tasks: tuple[TaskInfo, ...], status: int, text: str) -> None:
        self._answered("ACCEPT", status, text)
        if status != _ACCEPTED:
            why = f"Mesos refuses to launch it: {text}"
            self._drop(tasks, TaskState.TASK_ERROR, "REASON_TASK_INVALID", why)


async def _until_another(masters: Masters, leader: Address) -> None:
    await masters.another(leader)
    raise Lost(f"another master than {leader} leads now")
