"""Sessions with real servers, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

from aurorad.leader.client import ZooKeeperSettings
from aurorad.leader.zookeeper import ZooKeeper
from aurorad.vars import Vars
from tests.zookeeper import PATIENCE_S

LONG_S = 10.0  # a busy machine does not lose it
SHORT_S = 2.0  # for tests that wait for its end


@asynccontextmanager
async def connected(
    *endpoints: str, stats: Vars | None = None, patience_s: float = PATIENCE_S, **settings: Any
) -> AsyncIterator[ZooKeeper]:
    """A session that is kept up within."""
    settings.setdefault("session_timeout_s", LONG_S)
    zookeeper = ZooKeeper(ZooKeeperSettings(endpoints, **settings), stats or Vars())
    async with trio.open_nursery() as nursery:
        await nursery.start(zookeeper.run)
        with trio.fail_after(patience_s):
            yield zookeeper
        nursery.cancel_scope.cancel()


async def until(holds: Callable[[], bool]) -> None:
    """Look until it holds: for what tells nobody."""
    with trio.fail_after(PATIENCE_S):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.005)


def nodes(client: KazooClient, path: str) -> dict[str, bytes]:
    """What is in `path`, as somebody else sees it."""
    client.retry(client.sync, path)
    with contextlib.suppress(NoNodeError):
        names = sorted(client.retry(client.get_children, path))
        return {name: client.retry(client.get, f"{path}/{name}")[0] for name in names}
    return {}
