"""Which log and which leadership the flags ask for: those of a cluster of one, or those shared with others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

from aurorad.flags import Flags
from aurorad.leader.alone import Alone
from aurorad.leader.face import Leadership
from aurorad.storage.following import Following, Settings, following, local_log
from aurorad.vars import Vars


class Ensemble(NamedTuple):
    """The schedulers that stand in for each other, as one of them sees it."""

    leadership: Leadership
    follow: Callable[[], AbstractAsyncContextManager[Following]]
    """Opens the log, and follows it."""
    is_alone: bool
    """There is nobody else."""


@asynccontextmanager
async def ensemble(flags: Flags, settings: Settings, stats: Vars, host: str, port: int) -> AsyncIterator[Ensemble]:
    """What the flags ask for, as long as the block lasts. `host` and `port` are where others find this scheduler."""
    yield Ensemble(Alone(host, port), lambda: _alone(flags, settings, stats), is_alone=True)


@asynccontextmanager
async def _alone(flags: Flags, settings: Settings, stats: Vars) -> AsyncIterator[Following]:
    database = flags.work_dir / "state.db"
    async with local_log(flags.work_dir, stats) as log, following(log, database, settings, stats, alone=True) as state:
        yield state
