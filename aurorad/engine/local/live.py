"""A run that is not over: what the engine remembers of it between events, and when its patience with it ends."""

from __future__ import annotations

import math

import msgspec
import trio

from aurorad.engine import executor_api as api
from aurorad.engine.base import StatusUpdate, TaskState
from aurorad.engine.local.processes import Identity
from aurorad.engine.local.runs import Known, Run
from aurorad.engine.local.server import Subscription

TERMINAL = frozenset(
    {
        TaskState.TASK_FINISHED,
        TaskState.TASK_FAILED,
        TaskState.TASK_KILLED,
        TaskState.TASK_ERROR,
        TaskState.TASK_LOST,
        TaskState.TASK_DROPPED,
        TaskState.TASK_GONE,
    }
)
_PROGRESS = (TaskState.TASK_STAGING, TaskState.TASK_STARTING, TaskState.TASK_RUNNING)
RESEND_S = (10.0, 600.0)  # Mesos: an unacknowledged update is sent again after 10 s, then after twice as long each time


class Patience(msgspec.Struct, frozen=True):
    """How long, in seconds, an executor may take before it is killed with all it started."""

    to_start: float = 10.0
    to_subscribe: float = 60.0
    """After its start, and after each loss of its connection. Mesos: executor_registration_timeout."""
    to_kill: float = 240.0
    """Its own way down takes as long as the job's settings say; before 5 min the scheduler gives the task up."""
    to_exit: float = 10.0
    """After the end of its task was acknowledged to it."""


DEFAULT_PATIENCE = Patience()


class Overdue(msgspec.Struct, frozen=True):
    """When patience ends (`trio.current_time`), and what the task is reported as then."""

    at: float = math.inf
    state: TaskState = TaskState.TASK_LOST
    message: str = ""


class Unacknowledged:
    """An update that the scheduler was sent, and when it is sent again."""

    def __init__(self, update: StatusUpdate, now: float) -> None:
        self.update = update
        self._wait_s = RESEND_S[0]
        self.resend_at = now + self._wait_s

    def resent(self, now: float) -> None:
        self._wait_s = min(self._wait_s * 2, RESEND_S[1])
        self.resend_at = now + self._wait_s


class LiveRun:
    """Mutable; owned by the engine's loop."""

    def __init__(self, run: Run, patience: Patience, now: float) -> None:
        self.run = run
        self._patience = patience
        self._known_updates: set[bytes] = set()
        self.executor: Identity | None = None
        self.restarts_ms: list[int] = []
        """When another executor took over after one died, in ms since the epoch."""
        self.subscription: Subscription | None = None
        self.unacknowledged: dict[bytes, Unacknowledged] = {}
        self.state = TaskState.TASK_STAGING
        self.refusal = ""
        """Why its executor was refused last, and was not taken since: it tries again twice a second."""
        self.overseen = True
        """Whether its executor may still run."""
        self.recording = trio.Lock()
        self.watch = trio.CancelScope()
        """Around the wait for the executor's end; its deadline is the end of our patience."""
        self._apart_since: float | None = now
        self._kill_since: float | None = None
        self._shutdown: tuple[float, float] | None = None  # since when, and the grace it was given
        self._over_since: float | None = None
        self._rearm()

    @classmethod
    def of(cls, known: Known, patience: Patience, now: float) -> LiveRun:
        """A run that a restarted engine found."""
        live = cls(known.run, patience, now)
        live.executor = known.executor
        live.restarts_ms = list(known.restarts_ms)
        for update in known.updates:
            live.note(update, now)
        live.unacknowledged = {u.uuid: Unacknowledged(u, now) for u in known.unacknowledged if u.uuid is not None}
        return live

    @property
    def task_id(self) -> str:
        return self.run.task.task_id

    @property
    def over(self) -> bool:
        """Whether the task's end was reported."""
        return self.state in TERMINAL

    @property
    def may_lack_its_task(self) -> bool:
        """Whether its executor may be one that never got a LAUNCH. One that did pays no heed to another."""
        return self.state is TaskState.TASK_STAGING or bool(self.restarts_ms)

    @property
    def kill_asked(self) -> bool:
        return self._kill_since is not None

    @property
    def shutting_down(self) -> bool:
        return self._shutdown is not None

    def knows(self, update: StatusUpdate) -> bool:
        """Whether the update brings nothing new.

        It was noted, or comes after the task's end, or an executor that took over begins where the one before was.
        """
        if self.over or update.uuid in self._known_updates:
            return True
        return self.state in _PROGRESS and update.state in _PROGRESS[: _PROGRESS.index(self.state) + 1]

    def note(self, update: StatusUpdate, now: float) -> None:
        """Take over an update that was written down."""
        assert update.uuid is not None
        self._known_updates.add(update.uuid)
        self.unacknowledged[update.uuid] = Unacknowledged(update, now)
        self.state = update.state
        if self.over:
            self._over_since = now
            self._rearm()

    def subscribed(self, subscription: Subscription) -> None:
        """The executor has (again) a stream of events; an older one is hung up."""
        if self.subscription is not None:
            self.subscription.end()
        self.subscription = subscription
        self._apart_since = None
        self._rearm()

    def knocked(self, now: float) -> None:
        """The executor is there, and cannot be let in yet: our patience with it begins anew."""
        if self._apart_since is not None:
            self._apart_since = now
            self._rearm()

    def restarted(self, at_ms: int, now: float) -> None:
        """Its executor died, and another one is on its way."""
        self.restarts_ms.append(at_ms)
        self.executor = None
        if self.subscription is not None:
            self.subscription.end()
            self.subscription = None
        self._apart_since = now
        self._rearm()

    def remind(self) -> None:
        """Tell an executor that subscribed what it was asked for meanwhile."""
        if self._kill_since is not None:
            self._put_kill()
        if self._shutdown is not None:
            self.put(api.Event("SHUTDOWN"))

    def disconnected(self, subscription: Subscription, now: float) -> None:
        if self.subscription is subscription:
            self.subscription = None
            self._apart_since = now
            self._rearm()

    def kill(self, now: float) -> None:
        """Ask the executor to end the task, now or when it subscribes. Asked again, the first patience goes on."""
        if self._kill_since is None:
            self._kill_since = now
            self._rearm()
        self._put_kill()

    def shut_down(self, now: float, grace_s: float) -> None:
        """Ask the executor to end its task and itself, now or when it subscribes."""
        self._shutdown = (now, grace_s)
        self._rearm()
        self.put(api.Event("SHUTDOWN"))

    def put(self, event: api.Event) -> None:
        if self.subscription is not None:
            self.subscription.put(event)

    def _put_kill(self) -> None:
        self.put(api.Event("KILL", kill=api.Kill(api.Id(self.task_id))))

    def _rearm(self) -> None:
        self.watch.deadline = self.overdue().at

    def overdue(self) -> Overdue:
        """The first of its deadlines."""
        patience = self._patience
        deadlines = [Overdue()]
        if self._over_since is not None:
            deadlines.append(Overdue(self._over_since + patience.to_exit, self.state))
        if self._shutdown is not None:
            since, grace_s = self._shutdown
            text = f"Executor did not shut down within {grace_s:g} s and was killed."
            deadlines.append(Overdue(since + grace_s, TaskState.TASK_KILLED, text))
        if self._kill_since is not None:
            text = f"Executor did not end the task within {patience.to_kill:g} s and was killed."
            deadlines.append(Overdue(self._kill_since + patience.to_kill, TaskState.TASK_KILLED, text))
        if self._apart_since is not None:
            state = TaskState.TASK_LOST if self._kill_since is None else TaskState.TASK_KILLED
            text = f"Executor did not connect within {patience.to_subscribe:g} s and was killed."
            deadlines.append(Overdue(self._apart_since + patience.to_subscribe, state, text))
        return min(deadlines, key=lambda overdue: overdue.at)
