"""Many deadlines, one waiting task."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable
from typing import Generic, TypeVar

import trio

K = TypeVar("K", bound=Hashable)

_SLACK = 64  # forgotten entries that are not worth clearing away


class Timers(Generic[K]):
    """Deadlines by key, in Trio's time. Setting a key again moves it; `due` hands out each key once."""

    def __init__(self) -> None:
        self._deadlines: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._earlier = trio.Event()

    def __len__(self) -> int:
        return len(self._deadlines)

    def set(self, key: K, delay_s: float) -> None:
        """`key` is due in `delay_s` seconds; 0 or less: at once."""
        deadline = trio.current_time() + max(0.0, delay_s)
        if not self._heap or deadline < self._heap[0][0]:
            self._earlier.set()
        self._deadlines[key] = deadline
        heapq.heappush(self._heap, (deadline, next(self._order), key))
        if len(self._heap) > 2 * len(self._deadlines) + _SLACK:
            self._heap = [entry for entry in self._heap if self._deadlines.get(entry[2]) == entry[0]]
            heapq.heapify(self._heap)

    def cancel(self, key: K) -> None:
        """Forget `key`, if it is there."""
        self._deadlines.pop(key, None)

    def clear(self) -> None:
        """Forget all keys."""
        self._deadlines.clear()
        self._heap.clear()

    async def due(self) -> list[K]:
        """Wait until a deadline has come; all keys whose deadline has, earliest first. Always a checkpoint.

        If cancelled, no key is lost.
        """
        await trio.lowlevel.checkpoint()
        while True:
            self._earlier = trio.Event()
            keys = self._take_due()
            if keys:
                return keys
            with trio.move_on_at(self._heap[0][0] if self._heap else float("inf")):
                await self._earlier.wait()

    def _take_due(self) -> list[K]:
        now = trio.current_time()
        keys: list[K] = []
        while self._heap and (self._heap[0][0] <= now or self._is_stale(self._heap[0])):
            entry = heapq.heappop(self._heap)
            if not self._is_stale(entry):
                del self._deadlines[entry[2]]
                keys.append(entry[2])
        return keys

    def _is_stale(self, entry: tuple[float, int, K]) -> bool:
        return self._deadlines.get(entry[2]) != entry[0]
