"""Long lists, looked at without holding the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import trio

A = TypeVar("A")
B = TypeVar("B")

LONGEST_HOLD_S = 0.01  # a fifth of what the loop may be held


async def gently(view: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """``[view(item) for item in items]``, letting others run now and then.

    `items` must not change meanwhile: hand over a copy of a live view.
    """
    seen: list[B] = []
    since = trio.current_time()
    for item in items:
        seen.append(view(item))
        if trio.current_time() - since > LONGEST_HOLD_S:
            await trio.lowlevel.checkpoint()
            since = trio.current_time()
    return seen
