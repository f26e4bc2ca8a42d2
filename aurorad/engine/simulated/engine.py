"""A simulated cluster as an engine: the thin part that has a clock."""

from __future__ import annotations

import math

import trio

from aurorad.engine.base import Event, Registered, StatusUpdate, TaskInfo
from aurorad.engine.simulated.cluster import Cluster

FRAMEWORK_ID = "local"


class SimulatedEngine:
    """`aurorad.engine.base.Engine` over a `Cluster`, which goes on from one `run` to the next as long as it is kept."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._woken = trio.Event()
        self._sleeps_until = math.inf

    async def run(self, events: trio.MemorySendChannel[Event], framework_id: str | None) -> None:
        cluster = self.cluster
        await events.send(Registered(framework_id or FRAMEWORK_ID))
        cluster.connect(trio.current_time())
        try:
            while True:
                self._woken = trio.Event()
                for event in cluster.advance(trio.current_time()):
                    try:
                        events.send_nowait(event)
                    except trio.WouldBlock:
                        await events.send(event)
                self._sleeps_until = cluster.next_at()
                if self._sleeps_until <= trio.current_time():
                    await trio.lowlevel.checkpoint()
                else:
                    with trio.CancelScope(deadline=self._sleeps_until):
                        await self._woken.wait()
        finally:
            cluster.disconnect(trio.current_time())

    def wake(self) -> None:
        """Something was done to the cluster: perhaps it has something to tell earlier than it had."""
        if self.cluster.next_at() < self._sleeps_until:
            self._woken.set()

    async def launch(self, offer_id: str, tasks: tuple[TaskInfo, ...], refuse_s: float) -> None:
        self.cluster.launch(trio.current_time(), offer_id, tasks, refuse_s)
        self.wake()

    async def decline(self, offer_id: str, refuse_s: float) -> None:
        self.cluster.decline(trio.current_time(), offer_id, refuse_s)
        self.wake()

    async def suppress(self) -> None:
        """Nobody else wants these hosts: they are offered all the same."""

    async def revive(self) -> None: ...

    async def kill(self, task_id: str) -> None:
        self.cluster.kill(trio.current_time(), task_id)
        self.wake()

    async def acknowledge(self, update: StatusUpdate) -> None:
        assert update.uuid is not None
        self.cluster.acknowledge(trio.current_time(), update.task_id, update.uuid)
        self.wake()

    async def reconcile(self, task_ids: tuple[str, ...]) -> None:
        self.cluster.reconcile(trio.current_time(), task_ids)
        self.wake()
