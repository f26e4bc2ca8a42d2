"""What a scheduler has yet to hear, and to acknowledge."""

from __future__ import annotations

import math
from collections import deque

from aurorad.engine.base import Event, StatusUpdate, TaskState
from aurorad.engine.simulated.tasks import Task


class Outbox:
    """Nothing is told while nobody listens. What the master says by itself is said once, if somebody does.

    An agent's updates have a uuid and are repeated, `resend_s` seconds after they were sent, until acknowledged; those
    of one task come one after the other.
    """

    def __init__(self, resend_s: float) -> None:
        self._resend_s = resend_s
        self._connected = False
        self._told: deque[Event] = deque()
        self._unacknowledged: dict[Task, float] = {}  # when its first update was sent, oldest first
        self._updates_made = 0

    @property
    def connected(self) -> bool:
        return self._connected

    def connect(self) -> None:
        """Everything that is not acknowledged is to be told at once."""
        self._connected = True
        self._unacknowledged = dict.fromkeys(self._unacknowledged, -math.inf)

    def disconnect(self) -> None:
        """What was not taken is lost."""
        self._connected = False
        self._told.clear()

    def say(self, event: Event) -> None:
        if self._connected:
            self._told.append(event)

    def master_says(
        self, task_id: str, state: TaskState, message: str | None, reason: str | None, agent_id: str | None
    ) -> None:
        self.say(StatusUpdate(task_id, state, agent_id, message, reason, "SOURCE_MASTER"))

    def agent_says(self, now: float, task: Task, message: str | None, reason: str | None) -> None:
        """The task came to be in its state. An agent that cannot be reached keeps that to itself."""
        self._updates_made += 1
        uuid = self._updates_made.to_bytes(16, "big")
        update = StatusUpdate(task.id, task.state, task.agent_id, message, reason, "SOURCE_EXECUTOR", None, uuid)
        task.updates = (*task.updates, update)
        if len(task.updates) == 1 and task.host.is_reachable:
            self.tell_first(now, task)

    def tell_first(self, now: float, task: Task) -> None:
        """Tell the first update that was not acknowledged, perhaps once more."""
        assert task.updates
        self._unacknowledged.pop(task, None)
        self._unacknowledged[task] = now if self._connected else -math.inf
        self.say(task.updates[0])

    def acknowledge(self, now: float, task: Task, uuid: bytes) -> bool:
        """Whether that was the last update there was."""
        if not task.host.is_reachable or not task.updates or task.updates[0].uuid != uuid:
            return False
        task.updates = task.updates[1:]
        if task.updates:
            self.tell_first(now, task)
            return False
        self.keep_quiet(task)
        return True

    def keep_quiet(self, task: Task) -> None:
        """Nothing of this task is to be repeated."""
        self._unacknowledged.pop(task, None)

    def repeat(self, now: float, at_most: int) -> None:
        """Tell again what was not acknowledged for too long."""
        for _ in range(at_most):
            task, sent_at = next(iter(self._unacknowledged.items()), (None, 0.0))
            if task is None or sent_at + self._resend_s > now:
                return
            self.tell_first(now, task)

    def next_at(self) -> float:
        """When there is something to tell: -inf now, inf never."""
        if not self._connected:
            return math.inf
        if self._told:
            return -math.inf
        sent_at = next(iter(self._unacknowledged.values()), math.inf)
        return sent_at + self._resend_s

    def take(self, at_most: int) -> list[Event]:
        """What there is to tell, in order."""
        return [self._told.popleft() for _ in range(min(at_most, len(self._told)))]

    def check_invariants(self) -> None:
        assert all(task.updates and task.host.is_reachable for task in self._unacknowledged)
