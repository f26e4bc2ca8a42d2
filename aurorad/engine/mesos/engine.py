"""A Mesos cluster as an engine: finds the leading master, stays subscribed to it, and comes back whenever that ends."""

from __future__ import annotations

import random
from typing import Protocol

import msgspec
import trio

from aurorad.engine.base import Event, StatusUpdate, TaskInfo
from aurorad.engine.mesos.framework import Credential
from aurorad.engine.mesos.messages import FrameworkInfo
from aurorad.vars import Vars


class Launching(Protocol):
    def task(self, info: TaskInfo, framework_id: str) -> msgspec.Struct:
        """Mesos' TaskInfo of a task."""


class FrameworkFailed(Exception):
    """The master wants to know no more of us, as we are. The text is its own. A new process may have more luck."""


class FrameworkRemoved(FrameworkFailed):
    """The master has ended the framework with all its tasks: nobody can go on under its id."""


class MesosEngine:
    """`aurorad.engine.base.Engine` over the v1 scheduler API."""

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
        raise NotImplementedError

    async def run(self, events: trio.MemorySendChannel[Event], framework_id: str | None) -> None:
        """As `Engine.run`. Raises `FrameworkFailed`."""
        raise NotImplementedError

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        raise NotImplementedError

    async def decline(self, offer_id: str, refuse_s: float) -> None:
        raise NotImplementedError

    async def kill(self, task_id: str) -> None:
        raise NotImplementedError

    async def acknowledge(self, update: StatusUpdate) -> None:
        raise NotImplementedError

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        raise NotImplementedError

    async def suppress(self) -> None:
        raise NotImplementedError

    async def revive(self) -> None:
        raise NotImplementedError
