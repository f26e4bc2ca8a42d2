"""Who leads: the masters' addresses one after the other, or what their ZooKeeper says.

A master that does not lead sends us on to the one that does, so any of them will do to begin with.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

import msgspec
import trio

from aurorad.engine.mesos.messages import Address as MasterAddress
from aurorad.leader.client import ZooKeeperSettings
from aurorad.leader.zookeeper import ZooKeeper
from aurorad.vars import Vars

_log = logging.getLogger(__name__)

_NODE = re.compile(r"json\.info_(\d+)")
_SESSION_S = 10.0
_ADDRESS = re.compile(r"(?:https?:)?(?://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:@]+):(\d{1,5})(?:/.*)?", re.ASCII)


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_in(text: str) -> Address:
    """That of ``host:port``, or of a redirect's location, which has no scheme. Raises `ValueError`."""
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} where host:port was expected")
    return Address(found[1].strip("[]"), int(found[2]))


class Masters(Protocol):
    async def leader(self) -> Address:
        """The one to try now, which may send us on; waits until there is one."""

    async def another(self, than: Address) -> None:
        """Wait until it is known that another one leads."""


class Listed:
    """One after the other."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = itertools.cycle(addresses)

    async def leader(self) -> Address:
        await trio.lowlevel.checkpoint()
        return next(self._addresses)

    async def another(self, than: Address) -> None:
        await trio.sleep_forever()


class Elected:
    """The masters' ZooKeeper knows: of the nodes ``json.info_<number>`` in `path` that of the lowest number leads."""

    def __init__(self, zookeeper: ZooKeeper, path: str) -> None:
        self._zookeeper = zookeeper
        self._path = path

    async def leader(self) -> Address:
        leader, changed = await self._look()
        if leader is None:
            _log.warning("no Mesos master leads, says ZooKeeper: waiting for one")
        while leader is None:
            await changed.wait()
            leader, changed = await self._look()
        return leader

    async def another(self, than: Address) -> None:
        while True:
            leader, changed = await self._look()
            if leader not in (None, than):
                return
            await changed.wait()

    async def _look(self) -> tuple[Address | None, trio.Event]:
        """Who leads, and when to look again. Nothing is made there."""
        owner, changed = await self._zookeeper.owner(self._path)
        if owner is None:
            return None, changed
        names, changed = await self._zookeeper.children(self._path)
        numbered = {int(found[1]): name for name in names if (found := _NODE.fullmatch(name))}
        if not numbered:
            return None, changed
        data = await self._zookeeper.get(f"{self._path}/{numbered[min(numbered)]}")
        return leader_in(data) if data is not None else None, changed


class _MasterInfo(msgspec.Struct, frozen=True):
    address: MasterAddress


def leader_in(data: bytes) -> Address | None:
    """The address in a master's node, None if there is none."""
    try:
        address = msgspec.json.decode(data, type=_MasterInfo).address
    except msgspec.DecodeError as error:
        _log.error("a Mesos master's node in ZooKeeper cannot be read: %s", error)
        return None
    host = address.ip or address.hostname
    return Address(host, address.port) if host else None


@contextlib.asynccontextmanager
async def masters_at(text: str) -> AsyncIterator[Masters]:
    """What ``-mesos_master_address`` says, to be asked within. Raises `ZooKeeperRefused`, in a group."""
    if not text.startswith("zk://"):
        yield Listed([address_in(each) for each in text.split(",")])
        return
    login, _, where = text.removeprefix("zk://").rpartition("@")
    servers, _, path = where.partition("/")
    settings = ZooKeeperSettings(tuple(servers.split(",")), session_timeout_s=_SESSION_S, credentials=login or None)
    zookeeper = ZooKeeper(settings, Vars())  # what is shown of ZooKeeper is the schedulers' own session
    async with trio.open_nursery() as nursery:
        await nursery.start(zookeeper.run)
        yield Elected(zookeeper, f"/{path}".rstrip("/"))
        nursery.cancel_scope.cancel()
