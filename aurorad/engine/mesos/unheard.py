"""Tasks that were launched, and of which nothing was heard since: with a subscription, launches may get lost."""

from __future__ import annotations

from collections.abc import Iterable

from aurorad.engine.base import StatusUpdate, TaskInfo, TaskState
from aurorad.engine.mesos.messages import Id, ReconciledTask


class Unheard:
    """What is doubted is to be asked about until there is an answer: a new master has none before agents came to it."""

    def __init__(self) -> None:
        self._agents: dict[str, str] = {}  # by task
        self._doubted: set[str] = set()

    def launched(self, tasks: Iterable[TaskInfo]) -> None:
        self._agents.update((task.task_id, task.agent_id) for task in tasks)

    def heard(self, update: StatusUpdate) -> None:
        """That it is in staging is the master's word alone, which another one may not know."""
        self._doubted.discard(update.task_id)
        if update.state is not TaskState.TASK_STAGING:
            self._agents.pop(update.task_id, None)

    def forget(self, tasks: Iterable[TaskInfo]) -> tuple[TaskInfo, ...]:
        """Those of them that nothing was heard of."""
        forgotten = tuple(task for task in tasks if self._agents.pop(task.task_id, None) is not None)
        self._doubted.difference_update(task.task_id for task in forgotten)
        return forgotten

    def clear(self) -> None:
        self._agents.clear()
        self._doubted.clear()

    def doubt(self) -> None:
        """The subscription over which they were launched is no more."""
        self._doubted.update(self._agents)

    def doubted(self) -> tuple[ReconciledTask, ...]:
        return tuple(ReconciledTask(Id(task), Id(self._agents[task])) for task in self._doubted)
