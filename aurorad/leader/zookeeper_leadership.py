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
            changed = await self._look()
            if self._advertised and self._me not in self._leaders:
                with contextlib.suppress(Defeated):
                    await self.advertise()  # somebody has deleted the node
            await changed.wait()

    async def _look(self) -> trio.Event:
        """Learn who leads; the event is set when to look again."""
        names, changed = await self._zookeeper.children(self._path)
        leaders = await serverset.members(self._zookeeper, self._path, names)
        if leaders != self._leaders:
            _log.info("leader: %s", ", ".join(f"{one.host}:{one.port}" for one in leaders) or "none")
            self._leaders = leaders
        return changed

    async def elected(self) -> None:
        self._tenure = await self._election.won()
        _log.info("elected: %s is the first candidate", self._tenure.node)

    async def defeated(self) -> str:
        if self._tenure is None:
            return "it does not lead"
        why = await self._election.lost(self._tenure)
        self._tenure = None
        return why

    async def advertise(self) -> None:
        if self._tenure is None:
            raise Defeated("it does not lead")
        session = self._tenure.session
        try:
            with session.lasting():
                await self._zookeeper.hold(session, self._path, serverset.PREFIX, serverset.encode(self._me))
                self._advertised = True
                await self._look()  # clients that hear of it shall not be sent away
        except SessionLost as loss:
            raise Defeated(f"the ZooKeeper session is lost: {loss}") from loss

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
        """A node of ours from before, when this process or the one before it led, means nothing."""
        return self._leaders if self.leads else tuple(one for one in self._leaders if not self._is_me(one))

    @property
    def is_advertised(self) -> bool:
        return len(self.leaders) == 1 and self._is_me(self.leaders[0])

    def _is_me(self, leader: Leader) -> bool:
        return (leader.host, leader.port) == (self._me.host, self._me.port)
