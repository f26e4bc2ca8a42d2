"""What leadership is to those who need it: won in ZooKeeper among several, granted at once to who is alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import trio


class Leader(NamedTuple):
    """An advertised scheduler; its other endpoints by name."""

    host: str
    port: int
    endpoints: Mapping[str, tuple[str, int]]


class Defeated(Exception):
    """What was asked for takes a leader, and this process is none any more. The text says why."""


class ZooKeeperRefused(Exception):
    """The ensemble refuses what we ask for, and would do so again. The text says what."""


class Leadership(Protocol):
    """One process's part in who leads. To lead in ZooKeeper is permission to try: who may write, the log decides."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch who leads, and serve the calls below; until cancelled, which leaves the candidates.

        Started at once, connected or not: a follower serves without ZooKeeper too.
        """

    async def elected(self) -> None:
        """Stand for election, and wait until this process leads. A lost session is no reason to return: it stands anew.

        Cancelled, it still stands: `withdraw` ends that.
        """

    async def defeated(self) -> str:
        """Wait until leadership is lost for good: why, in words. To be called after `elected` has returned."""

    async def advertise(self) -> None:
        """Tell everybody where the leader is; then `is_advertised` holds. Raises `Defeated`."""

    async def withdraw(self) -> None:
        """Be neither advertised nor a candidate any more, as soon as can be; never raises.

        Without a connection it gives up after a moment: the session's end does the same. `elected` may be called again.
        """

    @property
    def leads(self) -> bool:
        """Elected, and neither defeated nor withdrawn since."""

    @property
    def leaders(self) -> tuple[Leader, ...]:
        """Who is advertised now, as last heard: one, normally."""

    @property
    def is_advertised(self) -> bool:
        """Whether `leaders` is this very process alone: then it serves what only a leader may."""
