"""This machine as an engine of one agent.

The engine starts executors, hears them on a unix socket (`server`), writes down what they report (`runs`), passes it
on until it is acknowledged, and offers what is free (`offers`). Executors go on without it; a new engine finds them by
their files. Each run has one task of ours, `_oversee`, which sees it to its end (`oversight`) and reports the task's
end if no executor did.
"""

from __future__ import annotations

import functools
import logging
import math
import secrets
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import trio

from aurorad.api.tasks import Attribute
from aurorad.cgroups import Hierarchy
from aurorad.engine import executor_api as api
from aurorad.engine.base import (
    Event,
    ExecutorLost,
    Offer,
    Offers,
    Registered,
    Rescind,
    StatusUpdate,
    TaskInfo,
    TaskState,
)
from aurorad.engine.local import server
from aurorad.engine.local.capacity import Amounts, from_resources, ports_in_use, to_resources
from aurorad.engine.local.garbage import GarbageCollector
from aurorad.engine.local.home import Home
from aurorad.engine.local.live import DEFAULT_PATIENCE, RESEND_S, TERMINAL, LiveRun, Patience
from aurorad.engine.local.offers import Offering
from aurorad.engine.local.oversight import DEFAULT_RESTARTS, SHUTDOWN_GRACE_S, Oversight, Restarts
from aurorad.engine.local.runs import Line, Run, Runs, is_file_name
from aurorad.engine.local.server import Refusal, Subscription
from aurorad.engine.local.spawner import AGENT_MARK, Spawner
from aurorad.engine.retention import Policy
from aurorad.vars import Vars

_PROGRAM = (  # -P: nothing is imported from where we happen to be
    (sys.executable,) if getattr(sys, "frozen", False) else (sys.executable, "-P", "-m", "aurorad.main")
)
LAUNCHER = (*_PROGRAM, "-role=launcher")
DEFAULT_RETENTION = Policy(max_age_s=172800.0)
_UNKNOWN_EXIT = -1  # an executor is not our child: how it ended only its own parent could know

_log = logging.getLogger(__name__)


class LocalEngine:
    """`aurorad.engine.base.Engine` on this machine. An instance runs once.

    `total` is what it offers (`capacity.measure`), `hostname` what pages link to, `launcher` the command that
    starts one, `executor_arguments` what each executor is told besides. `retention` and `gc_disk_headroom` say which
    ended runs are removed, `stats` counts them.
    """

    def __init__(
        self,
        work_dir: Path,
        hostname: str,
        total: Amounts,
        now_ms: Callable[[], int],
        *,
        retention: Policy = DEFAULT_RETENTION,
        gc_disk_headroom: float = 0.0,
        stats: Vars | None = None,
        patience: Patience = DEFAULT_PATIENCE,
        restarts: Restarts = DEFAULT_RESTARTS,
        launcher: Sequence[str] = LAUNCHER,
        hierarchy: Hierarchy | None = None,
        executor_arguments: Sequence[str] = (),
    ) -> None:
        self._home = Home(work_dir)
        self._hostname = hostname
        self._total = total
        self._now_ms = now_ms
        self._patience = patience
        self._restarts = restarts
        self._launcher = launcher
        self._hierarchy = hierarchy
        self._executor_arguments = tuple(executor_arguments)
        self._runs = Runs(self._home.path)
        self._outbox, self._to_send = trio.open_memory_channel[Event](math.inf)
        self._live: dict[str, LiveRun] = {}  # by task id
        self._by_token: dict[str, LiveRun] = {}
        self._changed = trio.Event()
        self._run_ended = trio.Event()
        self._stopping = False
        self.garbage = GarbageCollector(
            self._runs, self._home.path, retention, gc_disk_headroom, now_ms, stats if stats is not None else Vars()
        )

    @property
    def folder(self) -> Path:
        """Where the agent keeps its runs."""
        return self._home.path

    async def run(self, events: trio.MemorySendChannel[Event], framework_id: str | None) -> None:
        """Raises `WorkDirInUse`, `BadFrameworkId`, and `ValueError` where a file of a run is damaged."""
        with self._home.claimed():
            self._framework_id = self._home.framework_id(framework_id)
            self._agent_id = self._home.agent_id()
            # A new prefix each time: an offer from before a restart is not ours to honour.
            self._offers = Offering(self._total, f"{self._agent_id}-O{secrets.token_hex(4)}-")
            self._spawner = Spawner(self._launcher, {AGENT_MARK: self._agent_id})
            self._oversight = Oversight(
                self._runs,
                self._spawner,
                self._agent_id,
                self._home.socket,
                self._now_ms,
                self._patience,
                self._restarts,
                self._executor_arguments,
                self._hierarchy,
            )
            self._tell(Registered(self._framework_id))
            if self._hierarchy is not None:
                self._hierarchy.enable_limits()
                self._hierarchy.remove_empty()
            async with trio.open_nursery() as self._nursery:
                await self._recover()
                listener = api.listen(self._home.socket)
                agent = server.Agent(self._accept, self._lost_stream)
                self._nursery.start_soon(self._forward, events)
                self._nursery.start_soon(server.serve, listener, agent)
                self._nursery.start_soon(self._spawner.run)
                self._nursery.start_soon(self._make_offers)
                self._nursery.start_soon(self._resend)
                self._nursery.start_soon(self.garbage.run)

    @property
    def launcher_pid(self) -> int | None:
        """The process that forks executors, while there is one."""
        return self._spawner.launcher_pid

    @property
    def overseen(self) -> frozenset[str]:
        """The tasks of which something may still run, also if their end was told."""
        return frozenset(live.task_id for live in self._live.values() if live.overseen)

    # What the scheduler asks for.

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        """The tasks are started in the background; what cannot be started is told by an event."""
        admitted = [live for task in tasks if (live := self._admit(offer_id, task)) is not None]
        self._offers.used(offer_id, trio.current_time(), refuse_s)
        self._changed.set()
        if admitted:
            self._nursery.start_soon(self._start, admitted)

    async def decline(self, offer_id: str, refuse_s: float) -> None:
        self._offers.used(offer_id, trio.current_time(), refuse_s)
        self._changed.set()

    async def suppress(self) -> None:
        """Nobody else wants this machine: it is offered all the same."""

    async def revive(self) -> None: ...

    async def kill(self, task_id: str) -> None:
        live = self._live.get(task_id)
        if live is None:
            self._tell(self._answer(task_id, TaskState.TASK_LOST, "Task is unknown to the agent"))
        else:
            live.kill(trio.current_time())

    async def acknowledge(self, update: StatusUpdate) -> None:
        live = self._live.get(update.task_id)
        if live is None or update.uuid is None or live.unacknowledged.pop(update.uuid, None) is None:
            return
        try:
            self._runs.append(live.run, Line(acknowledged=update.uuid), durably=False)
        except OSError as error:  # forgotten by a restart: then it is sent, and acknowledged, once more
            _log.warning("cannot note an acknowledgement of task %s: %s", live.task_id, error)
        self._forget_if_done(live)

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        for task_id in task_ids or [live.task_id for live in self._live.values() if not live.over]:
            live = self._live.get(task_id)
            if live is None:
                text = "Reconciliation: Task is unknown to the agent"
                self._tell(self._answer(task_id, TaskState.TASK_LOST, text))
            else:
                text = "Reconciliation: Latest task state"
                self._tell(self._answer(task_id, live.state, text))

    async def stop_all_tasks(self, grace_s: float = SHUTDOWN_GRACE_S) -> None:
        """End every task, as its executor does on SHUTDOWN or else after `grace_s` by force, and start no more."""
        self._stopping = True
        for live in self._live.values():
            if live.overseen:
                live.shut_down(trio.current_time(), grace_s)
        while self.overseen:
            self._run_ended = trio.Event()
            await self._run_ended.wait()

    # From a launch to an executor.

    def _admit(self, offer_id: str, task: TaskInfo) -> LiveRun | None:
        """Set aside what the task needs, or tell why it does not start."""
        run = Run(str(uuid.uuid4()), self._framework_id, self._agent_id, secrets.token_urlsafe(), task)
        if not is_file_name(task.task_id) or not is_file_name(task.executor_id):
            text = "Task id or executor id is not a name of at most 255 letters, digits, - and _"
            refusal = self._answer(task.task_id, TaskState.TASK_FAILED, text, "REASON_TASK_INVALID")
        elif task.task_id in self._live:
            refusal = self._answer(task.task_id, TaskState.TASK_ERROR, "Task has duplicate ID", "REASON_TASK_INVALID")
        elif self._stopping or task.agent_id != self._agent_id or not self._offers.made(offer_id):
            text = f"Task launched with invalid offers: Offer {offer_id} is no longer valid"
            refusal = self._answer(task.task_id, TaskState.TASK_LOST, text, "REASON_INVALID_OFFERS")
        elif missing := self._offers.hold(run.id, _needs(task)):
            text = f"Task uses more resources than available: {', '.join(missing)}"
            refusal = self._answer(task.task_id, TaskState.TASK_LOST, text, "REASON_INVALID_OFFERS")
        else:
            live = LiveRun(run, self._patience, trio.current_time())
            self._enter(live)
            return live
        self._tell(refusal)
        return None

    async def _start(self, admitted: list[LiveRun]) -> None:
        """All are durable before the first starts."""
        try:
            await trio.to_thread.run_sync(self._runs.create, [live.run for live in admitted])
        except OSError as error:
            _log.error("cannot write the run directories: %s", error)
            for live in admitted:
                text = f"Cannot write the run directory: {error}"
                self._leave(live)
                self._tell(self._answer(live.task_id, TaskState.TASK_LOST, text, "REASON_CONTAINER_LAUNCH_FAILED"))
            return
        for live in admitted:
            self._nursery.start_soon(self._oversee, live)

    async def _oversee(self, live: LiveRun) -> None:
        """A run, from its start or from finding it again, to its end."""
        ending = await self._oversight.see_out(live)
        if not live.over:
            update = self._answer(live.task_id, ending.state, ending.message, "REASON_EXECUTOR_TERMINATED")
            try:
                await self._record(live, msgspec.structs.replace(update, uuid=uuid.uuid4().bytes))
            except OSError as error:  # the next engine finds the same, and tells it for good
                _log.error("cannot write down the end of task %s: %s", live.task_id, error)
                self._tell(update)
            self._tell(ExecutorLost(live.run.task.executor_id, self._agent_id, _UNKNOWN_EXIT))
        live.overseen = False
        if live.subscription is not None:
            live.subscription.end()
        self._by_token.pop(live.run.token)
        self._offers.release(live.run.id)
        self._changed.set()
        self._run_ended.set()
        self._forget_if_done(live)

    # What executors say.

    async def _accept(self, call: api.Call, token: str) -> Subscription | None:
        live = self._by_token.get(token)
        if live is None or (call.executor_id.value, call.framework_id.value) != (
            live.run.task.executor_id,
            live.run.framework_id,
        ):
            raise Refusal(401, f"executor {call.executor_id.value!r} is not one of this agent's")
        if call.type == "SUBSCRIBE" and call.subscribe is not None:
            return await self._subscribe(live, call.subscribe)
        if call.type == "UPDATE" and call.update is not None:
            live.put(await self._take(live, call.update.status))
        elif call.type not in ("MESSAGE", "HEARTBEAT"):  # there is nobody to pass messages to
            raise Refusal(400, f"call {call.type!r}: SUBSCRIBE, UPDATE or MESSAGE was expected, with its field")
        return None

    async def _subscribe(self, live: LiveRun, subscribe: api.Subscribe) -> Subscription:
        taken = [await self._take(live, update.status) for update in subscribe.unacknowledged_updates]
        live.refusal = ""
        subscription = Subscription()
        live.subscribed(subscription)
        live.put(api.Event("SUBSCRIBED"))
        for acknowledged in taken:
            live.put(acknowledged)
        if live.over and not taken:  # it took over from one that had the last word after all
            live.put(api.Event("SHUTDOWN"))
        elif live.may_lack_its_task and not subscribe.unacknowledged_tasks:
            live.put(api.Event("LAUNCH", launch=api.Launch(_launched(live.run.task))))
        live.remind()
        return subscription

    def _lost_stream(self, call: api.Call, subscription: Subscription) -> None:
        for live in self._by_token.values():
            live.disconnected(subscription, trio.current_time())

    async def _take(self, live: LiveRun, status: api.TaskStatus) -> api.Event:
        """Write down and pass on an executor's update; the event that acknowledges it. Raises `Refusal`."""
        if status.uuid is None:
            raise Refusal(400, "an update without uuid")
        if status.task_id.value == live.task_id:
            update = StatusUpdate(
                task_id=live.task_id,
                state=status.state,
                agent_id=self._agent_id,
                message=status.message,
                reason=status.reason,
                source=status.source or "SOURCE_EXECUTOR",
                timestamp_s=status.timestamp or self._now_ms() / 1000,
                uuid=status.uuid,
            )
            try:
                await self._record(live, update)
            except OSError as error:
                live.knocked(trio.current_time())
                text = f"cannot write down an update of task {live.task_id}: {error}"
                before, live.refusal = live.refusal, text
                raise Refusal(503, text, again=text == before) from error
        else:
            _log.warning("an executor speaks of task %s, which is not its own", status.task_id.value)
        return api.Event("ACKNOWLEDGED", acknowledged=api.Acknowledged(status.task_id, status.uuid))

    async def _record(self, live: LiveRun, update: StatusUpdate) -> None:
        """Written down first, then passed on. One that is known already is not passed on again.

        Only a task's end must survive the machine: one that is not known to have ended, and whose executor a reboot
        ended, is lost in any case.
        """
        async with live.recording:
            if live.knows(update):
                return
            line = Line(update=update)
            if update.state in TERMINAL:
                append = functools.partial(self._runs.append, live.run, line, durably=True)
                await trio.to_thread.run_sync(append)
            else:
                self._runs.append(live.run, line, durably=False)
            live.note(update, trio.current_time())
            self._tell(update)

    # What goes on by itself.

    async def _recover(self) -> None:
        now = trio.current_time()
        for known in await trio.to_thread.run_sync(self._runs.load):
            live = LiveRun.of(known, self._patience, now)
            self._enter(live)
            for pending in live.unacknowledged.values():
                self._tell(pending.update)
            self._offers.hold_anyway(known.run.id, _needs(known.run.task))
            self._nursery.start_soon(self._oversee, live)
        _log.info("agent %s: %d runs found", self._agent_id, len(self._live))

    async def _forward(self, events: trio.MemorySendChannel[Event]) -> None:
        async for event in self._to_send:
            await events.send(event)

    async def _make_offers(self) -> None:
        while True:
            self._changed = trio.Event()
            stale = self._offers.stale()
            if stale is not None:
                self._tell(Rescind(stale.id))
            now = trio.current_time()
            due = math.inf if self._stopping else self._offers.next_at(now)
            if due <= now:
                taken = await trio.to_thread.run_sync(ports_in_use)
                made = self._offers.make()
                self._tell(Offers((self._offer(made.id, made.free, taken),)))
                continue
            with trio.move_on_at(due):
                await self._changed.wait()

    def _offer(self, offer_id: str, free: Amounts, taken: frozenset[int]) -> Offer:
        resources = to_resources(msgspec.structs.replace(free, ports=free.ports - taken))
        attributes = frozenset({Attribute("host", frozenset({self._hostname}))})
        return Offer(offer_id, self._agent_id, self._hostname, resources, attributes)

    async def _resend(self) -> None:
        while True:
            await trio.sleep(RESEND_S[0] / 2)
            now = trio.current_time()
            for live in self._live.values():
                for pending in live.unacknowledged.values():
                    if pending.resend_at <= now:
                        self._tell(pending.update)
                        pending.resent(now)

    def _enter(self, live: LiveRun) -> None:
        self._live[live.task_id] = live
        self._by_token[live.run.token] = live

    def _leave(self, live: LiveRun) -> None:
        del self._live[live.task_id], self._by_token[live.run.token]
        self._offers.release(live.run.id)
        self._changed.set()
        self._run_ended.set()

    def _forget_if_done(self, live: LiveRun) -> None:
        if live.overseen or live.unacknowledged:
            return
        del self._live[live.task_id]
        if not live.over:  # its end could not be written down
            return
        try:
            self._runs.end(live.run)
        except OSError as error:  # a restart finds it ended and tries again
            _log.warning("cannot mark run %s as ended: %s", live.run.id, error)

    def _tell(self, event: Event) -> None:
        self._outbox.send_nowait(event)

    def _answer(self, task_id: str, state: TaskState, text: str, reason: str = "REASON_RECONCILIATION") -> StatusUpdate:
        """An update of our own, without uuid: nobody need acknowledge it."""
        seconds = self._now_ms() / 1000
        return StatusUpdate(task_id, state, self._agent_id, text, reason, "SOURCE_AGENT", seconds)


def _needs(task: TaskInfo) -> Amounts:
    return from_resources(task.resources + task.executor_resources)


def _launched(task: TaskInfo) -> msgspec.Raw:
    launched = api.LaunchedTask(task.name, api.Id(task.task_id), api.Id(task.agent_id), task.data)
    return msgspec.Raw(msgspec.json.encode(launched))
