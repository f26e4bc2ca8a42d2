"""Long computations on the event loop, in small bites."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TypeVar

import trio

A = TypeVar("A")
B = TypeVar("B")

_BITE_S = 0.003  # a small part of what anything may hold the loop
_TURNS = 6  # about as many as an HTTP request needs from its first byte to its last
_LINE: trio.lowlevel.RunVar[trio.Lock] = trio.lowlevel.RunVar("aurorad.pace.line")


async def give_way() -> None:
    """For who has much to do, between two pieces of it: others get several turns of the loop, not just one.

    Whoever needs many short turns, as a request does, would otherwise wait for a piece before each of them. All who
    have much to do stand in one line: there is one piece in so many turns, however many of them there are.
    """
    async with _line():
        for _ in range(_TURNS):
            await trio.lowlevel.checkpoint()


def _line() -> trio.Lock:
    """This loop's; it serves in the order of arrival."""
    try:
        return _LINE.get()
    except LookupError:
        line = trio.Lock()
        _LINE.set(line)
        return line


class Pace:
    """Call `breathe` often while computing: it lets others run whenever this task had the loop for 3 ms."""

    def __init__(self) -> None:
        self._since = trio.current_time()

    async def breathe(self) -> None:
        """`give_way` if that is due; nothing otherwise."""
        if trio.current_time() - self._since >= _BITE_S:
            await give_way()
            self._since = trio.current_time()


async def gently(view: Callable[[A], B], items: Iterable[A]) -> list[B]:
    """``[view(item) for item in items]``, letting others run now and then.

    `items` must not change meanwhile: hand over a copy of a live view.
    """
    pace = Pace()
    seen: list[B] = []
    for item in items:
        seen.append(view(item))
        await pace.breathe()
    return seen


async def next_batch(channel: trio.MemoryReceiveChannel[A], at_most: int) -> list[A]:
    """All that waits in a channel, up to so many; waits until there is anything. Raises `trio.EndOfChannel`.

    Taken one by one, each would cost a turn of everybody else's.
    """
    batch = [await channel.receive()]
    with contextlib.suppress(trio.WouldBlock, trio.EndOfChannel):
        while len(batch) < at_most:
            batch.append(channel.receive_nowait())
    return batch
