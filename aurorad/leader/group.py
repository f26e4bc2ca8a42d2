"""The members of the replicated log, who find each other in ZooKeeper (storage sheet, C6)."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator

import trio

from aurorad.leader.zookeeper import SessionLost, ZooKeeper

_log = logging.getLogger(__name__)

_NAME = re.compile(r"\d{10,}")  # without a label
_ACTOR = "log-replica(1)@"  # as Mesos names who listens there


class Group:
    """Addresses as ``ip:port``, each in an ephemeral node of its own."""

    def __init__(self, zookeeper: ZooKeeper, path: str) -> None:
        self._zookeeper = zookeeper
        self._path = path

    async def stay(self, address: str, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be a member, again after each lost session, until cancelled; which ends it only with the session."""
        data = f"{_ACTOR}{address}".encode()
        task_status.started()
        while True:
            session = await self._zookeeper.session()
            try:
                while True:
                    name = await self._zookeeper.hold(session, self._path, "", data)
                    _log.info("member of the log's group: %s/%s is %s", self._path, name, address)
                    await self._zookeeper.held(session, f"{self._path}/{name}")
            except SessionLost as loss:
                _log.warning("no longer a member of the log's group: %s", loss)

    async def members(self) -> AsyncGenerator[frozenset[str], None]:
        """The addresses of all members, now and whenever they are others; without a connection those last known."""
        known: frozenset[str] | None = None
        while True:
            names, changed = await self._zookeeper.children(self._path)
            members = frozenset([member async for member in self._addresses(names)])
            if members != known:
                known = members
                yield members
            await changed.wait()

    async def _addresses(self, names: list[str]) -> AsyncGenerator[str, None]:
        for name in names:
            data = await self._zookeeper.get(f"{self._path}/{name}") if _NAME.fullmatch(name) else None
            if data is None:
                continue
            actor, at, address = data.decode(errors="replace").partition("@")
            if f"{actor}{at}" == _ACTOR and address:
                yield address
            else:
                _log.warning("%s/%s in ZooKeeper is not readable as a log's member: %.200r", self._path, name, data)
