"""Waiting in tests for what a thread or a process brings about."""

from __future__ import annotations

from collections.abc import Callable

import trio


async def until(condition: Callable[[], object], patience_s: float = 30.0) -> None:
    """Raises `trio.TooSlowError` if `condition` does not come true in time."""
    with trio.fail_after(patience_s):
        while not condition():  # noqa: ASYNC110  # threads and processes set no event of ours
            await trio.sleep(0.001)
