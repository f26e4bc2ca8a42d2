"""Leadership that is won in ZooKeeper: a line of candidates, and one member node, the leader's."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable

import trio

from aurorad.leader import serverset
from aurorad.leader.election import Election, Tenure
from aurorad.leader.face import Defeated, Leader
from aurorad.leader.zookeeper import SessionLost, ZooKeeper, ZooKeeperRefused

_log = logging.getLogger(__name__)

_WITHDRAW_PATIENCE_S = 2.0


class ZooKeeperLeadership:
    """A `Leadership` over a session that others may use, too, and that somebody else runs."""

    def __init__(
        self,
        zookeeper: ZooKeeper,
        path: str,
        host: str,
        port: int,
        endpoint: str = "http",
        new_uuid: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        """`host` and `port` are where this process serves, and `endpoint` the name of that among its endpoints."""
        self._zookeeper = zookeeper
        self._path = path
        self._me = Leader(host, port, {endpoint: (host, port)})
        self._election = Election(zookeeper, path, host, new_uuid)
        self._tenure: Tenure | None = None
        self._advertised = False
        self._leaders: tuple[Leader, ...] = ()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            names, changed = await self._zookeeper.children(self._path)
            leaders = await serverset.members(self._zookeeper, self._path, names)
            if leaders != self._leaders:
                _log.info("leader: %s", ", ".join(f"{one.host}:{one.port}" for one in leaders) or "none")
                self._leaders = leaders
            if self._advertised and self._me not in leaders:
                with contextlib.suppress(Defeated):
                    await self.advertise()  # somebody has deleted the node
            await changed.wait()

    async def elected(self) -> None:
        self._tenure = await self._election.won()
        _log.info("elected: %s is the first candidate", self._tenure.node)

    async def defeated(self) -> str:
        if self._tenure is None:
            return "it does not lead"
        return await self._election.lost(self._tenure)

    async def advertise(self) -> None:
        if self._tenure is None:
            raise Defeated("it does not lead")
        try:
            await self._zookeeper.hold(self._tenure.session, self._path, serverset.PREFIX, serverset.encode(self._me))
        except SessionLost as loss:
            raise Defeated(f"the ZooKeeper session is lost: {loss}") from loss
        self._advertised = True

    async def withdraw(self) -> None:
        self._tenure, self._advertised = None, False
        with trio.move_on_after(_WITHDRAW_PATIENCE_S), contextlib.suppress(SessionLost, ZooKeeperRefused):
            session = await self._zookeeper.session()
            await self._zookeeper.release(session, self._path, serverset.PREFIX)
            await self._election.leave(session)

    @property
    def leads(self) -> bool:
        return self._tenure is not None and self._tenure.session.why_over is None

    @property
    def leaders(self) -> tuple[Leader, ...]:
        return self._leaders

    @property
    def is_advertised(self) -> bool:
        return [(one.host, one.port) for one in self._leaders] == [(self._me.host, self._me.port)]
