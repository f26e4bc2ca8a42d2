"""Leadership of a scheduler that is alone: a cluster of one has nobody to ask."""

from __future__ import annotations

import trio

from aurorad.leader.face import Leader


class Alone:
    """Elected at once, never defeated."""

    def __init__(self, host: str, port: int, endpoint: str = "http") -> None:
        """Where it serves, and the name of that among its endpoints."""
        self._me = Leader(host, port, {endpoint: (host, port)})
        self._leads = False
        self._advertised = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()

    async def elected(self) -> None:
        await trio.lowlevel.checkpoint()
        self._leads = True

    async def defeated(self) -> str:
        await trio.sleep_forever()
        raise AssertionError

    async def advertise(self) -> None:
        await trio.lowlevel.checkpoint()
        self._advertised = True

    async def withdraw(self) -> None:
        self._leads = self._advertised = False
        await trio.lowlevel.checkpoint()

    @property
    def leads(self) -> bool:
        return self._leads

    @property
    def leaders(self) -> tuple[Leader, ...]:
        return (self._me,) if self._advertised else ()

    @property
    def is_advertised(self) -> bool:
        return self._advertised
