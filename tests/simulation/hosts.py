"""Hosts that pretend: each runs tasks as their fates say, and tells of them until that is acknowledged."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from aurorad.api.tasks import Attribute
from aurorad.engine.base import Resource, StatusUpdate, TaskInfo, TaskState
from tests.simulation.timeline import Timeline
from tests.simulation.trace import Trace

ENDED = frozenset({TaskState.TASK_FINISHED, TaskState.TASK_FAILED, TaskState.TASK_KILLED})
FIRST_RESEND_S, LONGEST_RESEND_S = 4.0, 15.0


class Fate(NamedTuple):
    """What becomes of a task if nobody kills it, and how long it takes to die if somebody does."""

    starts_s: float
    runs_s: float
    lasts_s: float
    end: TaskState
    dies_s: float


class HostTask:
    def __init__(self, info: TaskInfo, fate: Fate) -> None:
        self.info = info
        self.fate = fate
        self.state = TaskState.TASK_STAGING
        self.is_dying = False
        self.untold: deque[StatusUpdate] = deque()
        """The first of these is sent until it is acknowledged."""

    @property
    def is_live(self) -> bool:
        return self.state not in ENDED


class Host:
    """One machine with its agent. `tell` passes an update on to the master, if it can."""

    def __init__(
        self,
        name: str,
        resources: tuple[Resource, ...],
        attributes: frozenset[Attribute],
        timeline: Timeline,
        rng: random.Random,
        trace: Trace,
        tell: Callable[[Host, StatusUpdate], None],
        now_ms: Callable[[], int],
    ) -> None:
        self.name = name
        self.resources = resources
        self.attributes = attributes
        self.agent_id = ""
        self.is_up = True
        self.is_linked = True
        """Whether messages between it and the master come through."""
        self.link = 0
        """The number of its connection to the master."""
        self.tasks: dict[str, HostTask] = {}
        self._timeline = timeline
        self._rng = rng
        self._trace = trace
        self._tell = tell
        self._now_ms = now_ms

    def connect(self) -> None:
        self.is_linked = True
        self.link += 1

    def live(self) -> list[HostTask]:
        return [task for task in self.tasks.values() if task.is_live]

    def launch(self, info: TaskInfo, fate: Fate) -> None:
        task = self.tasks[info.task_id] = HostTask(info, fate)
        self._later(fate.starts_s, task, lambda: self._enter(task, TaskState.TASK_STARTING))
        self._later(fate.starts_s + fate.runs_s, task, lambda: self._enter(task, TaskState.TASK_RUNNING))
        if fate.lasts_s < math.inf:
            lasts_s = fate.starts_s + fate.runs_s + fate.lasts_s
            self._later(lasts_s, task, lambda: self._enter(task, fate.end))

    def kill(self, task_id: str) -> None:
        task = self.tasks.get(task_id)
        if task is not None and task.is_live and not task.is_dying:
            task.is_dying = True
            self._later(task.fate.dies_s, task, lambda: self._enter(task, TaskState.TASK_KILLED))

    def acknowledge(self, task_id: str, uuid: bytes | None) -> None:
        task = self.tasks.get(task_id)
        if task is None or not task.untold or task.untold[0].uuid != uuid:
            return
        task.untold.popleft()
        if task.untold:
            self._send(task, FIRST_RESEND_S)
        elif not task.is_live:
            del self.tasks[task_id]

    def crash(self) -> None:
        """Nothing of it is left."""
        self.is_up = False
        self.tasks.clear()

    def end_all(self) -> None:
        """All tasks end, and nobody is told."""
        self.tasks.clear()

    def resend(self) -> None:
        for task in self.tasks.values():
            if task.untold:
                self._tell(self, task.untold[0])

    def _later(self, delay_s: float, task: HostTask, then: Callable[[], None]) -> None:
        def act() -> None:
            if self.tasks.get(task.info.task_id) is task and task.is_live:
                then()

        self._timeline.after(delay_s, act)

    def _enter(self, task: HostTask, state: TaskState) -> None:
        task.state = state
        self._trace(self.name, f"{state.value} {task.info.task_id}")
        update = StatusUpdate(
            task.info.task_id,
            state,
            self.agent_id,
            message=f"it is {state.value}",
            source="SOURCE_EXECUTOR",
            timestamp_s=self._now_ms() / 1000,
            uuid=self._rng.randbytes(16),
        )
        task.untold.append(update)
        if len(task.untold) == 1:
            self._send(task, FIRST_RESEND_S)

    def _send(self, task: HostTask, again_s: float) -> None:
        update = task.untold[0]
        self._tell(self, update)

        def again() -> None:
            if self.tasks.get(task.info.task_id) is task and task.untold and task.untold[0] is update:
                self._send(task, min(LONGEST_RESEND_S, 2 * again_s))

        self._timeline.after(again_s, again)
