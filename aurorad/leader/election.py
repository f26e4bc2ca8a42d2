"""Who is first in line: candidates' lock nodes, in the style of Curator's LeaderSelector (storage sheet, B1)."""

from __future__ import annotations

import dataclasses
import logging
import re
import uuid
from collections.abc import Callable, Iterable

from aurorad.leader.zookeeper import Session, SessionLost, ZooKeeper

_log = logging.getLogger(__name__)

_LOCK = re.compile(r".*lock-(\d{10,})")


@dataclasses.dataclass(frozen=True)
class Tenure:
    """A place at the head of the line."""

    session: Session
    node: str  # its path


class Election:
    """One candidate's place in the line: ``_c_<guid>-lock-<sequence>``, which holds the candidate's host name."""

    def __init__(
        self, zookeeper: ZooKeeper, path: str, host: str, new_uuid: Callable[[], uuid.UUID] = uuid.uuid4
    ) -> None:
        self._zookeeper = zookeeper
        self._path = path
        self._data = host.encode()
        self._prefix = f"_c_{new_uuid()}-lock-"

    async def won(self) -> Tenure:
        """Stand, and wait until we are first. A lost session costs the place in the line, and a new one is taken."""
        while True:
            session = await self._zookeeper.session()
            try:
                return await self._first(session)
            except SessionLost as loss:
                _log.warning("lost the place among the candidates to lead: %s", loss)

    async def _first(self, session: Session) -> Tenure:
        with session.lasting():
            while True:
                mine = await self._zookeeper.hold(session, self._path, self._prefix, self._data)
                names, _ = await self._zookeeper.children(self._path)
                if mine not in names:
                    continue  # deleted just now
                before = predecessor(names, mine)
                if before is None:
                    break
                owner, changed = await self._zookeeper.owner(f"{self._path}/{before}")
                if owner is not None:
                    await changed.wait()  # of its predecessor alone: else all would run whenever one left
        return Tenure(session, f"{self._path}/{mine}")

    async def lost(self, tenure: Tenure) -> str:
        """Wait until the tenure is over: why."""
        try:
            await self._zookeeper.held(tenure.session, tenure.node)
        except SessionLost as loss:
            return f"the ZooKeeper session is lost: {loss}"
        return f"{tenure.node} was deleted"

    async def leave(self, session: Session) -> None:
        """Out of the line. Raises `SessionLost`, which does the same."""
        await self._zookeeper.release(session, self._path, self._prefix)


def predecessor(names: Iterable[str], mine: str) -> str | None:
    """The last candidate before us in the line, None if we are first; others' prefixes do not matter."""
    place = _place(mine)
    before = [(sequence, name) for name in names if (sequence := _place(name)) is not None and sequence < (place or 0)]
    return max(before)[1] if before else None


def _place(name: str) -> int | None:
    found = _LOCK.fullmatch(name)
    return int(found[1]) if found is not None else None
