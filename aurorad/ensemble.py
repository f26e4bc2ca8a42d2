"""Which log and which leadership the flags ask for: those of a cluster of one, or those shared with others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import trio

from aurorad.flags import Flags
from aurorad.garbage import leave_long_lived_alone
from aurorad.leader.alone import Alone
from aurorad.leader.face import Leadership
from aurorad.storage.following import Follow, Following, Settings, following, local_log
from aurorad.vars import Vars


class Ensemble(NamedTuple):
    """The schedulers that stand in for each other, as one of them sees it."""

    leadership: Leadership
    follow: Follow
    """Opens the log, and follows it."""
    is_alone: bool
    """There is nobody else."""


@asynccontextmanager
async def ensemble(flags: Flags, settings: Settings, stats: Vars, host: str, port: int) -> AsyncIterator[Ensemble]:
    """What the flags ask for, as long as the block lasts. `host` and `port` are where others find this scheduler.

    Raises `CannotStart`; in a group, `ZooKeeperRefused`, and what opening the log does.
    """
    if flags.replicated:
        from aurorad.replication import several  # not above: who is alone need not wait for it

        async with several(flags, settings, stats, host, port) as (leadership, follow):
            yield Ensemble(leadership, partial(_leaving_it_alone, follow), is_alone=False)
    else:
        leadership = Alone(host, port, flags.serverset_endpoint_name)
        yield Ensemble(leadership, partial(_leaving_it_alone, partial(_alone, flags, settings, stats)), is_alone=True)


@asynccontextmanager
async def _leaving_it_alone(follow: Follow) -> AsyncIterator[Following]:
    """What was read is there to stay: it is not searched for garbage."""
    async with follow() as state, trio.open_nursery() as nursery:
        nursery.start_soon(leave_long_lived_alone)
        yield state
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _alone(flags: Flags, settings: Settings, stats: Vars) -> AsyncIterator[Following]:
    database = flags.work_dir / "state.db"
    async with local_log(flags.work_dir, stats) as log, following(log, database, settings, stats, alone=True) as state:
        yield state
