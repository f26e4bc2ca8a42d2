"""Why a subscription is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio


class Over(Exception):
    """The subscription has ended, or did not come about. The text says why."""


class Lost(Over):
    """There will be another."""


class NotReady(Lost):
    """The master will take us once it has recovered, or another one leads."""


class FrameworkFailed(Over):
    """The master wants to know no more of us, as we are. The text is its own. A new process may have more luck."""


class FrameworkRemoved(FrameworkFailed):
    """The master has ended the framework with all its tasks: nobody can go on under its id."""


async def until_over(*watches: Callable[[], Awaitable[None]]) -> NoReturn:
    """Run all of them until one raises `Over`, which ends the others and is raised."""
    ends: list[Over] = []
    async with trio.open_nursery() as nursery:

        async def run(watch: Callable[[], Awaitable[None]]) -> None:
            try:
                await watch()
            except Over as over:
                ends.append(over)
                nursery.cancel_scope.cancel()

        for watch in watches:
            nursery.start_soon(run, watch)
    raise ends[0]
