"""What happens outside the scheduler, in the order of its time: agents, messages, faults."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio


class Timeline:
    """Calls functions at their times, one after the other. `run` must run."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._earlier = trio.Event()

    def after(self, delay_s: float, then: Callable[[], None]) -> None:
        self.at(trio.current_time() + delay_s, then)

    def at(self, at: float, then: Callable[[], None]) -> None:
        """What has the same time happens in the order in which it was told."""
        if not self._heap or at < self._heap[0][0]:
            self._earlier.set()
        heapq.heappush(self._heap, (at, next(self._order), then))

    async def run(self) -> None:
        while True:
            self._earlier = trio.Event()
            while self._heap and self._heap[0][0] <= trio.current_time():
                heapq.heappop(self._heap)[2]()
            with trio.move_on_at(self._heap[0][0] if self._heap else float("inf")):
                await self._earlier.wait()
