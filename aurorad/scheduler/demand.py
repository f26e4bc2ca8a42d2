"""Whether the engine shall make offers at all: who needs none leaves the cluster to other frameworks."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from aurorad.engine.base import Engine

AGAIN_S = 60.0
"""Who needs offers and was made none for so long asks once more: a call that was lost shall not starve anybody."""


class Demand:
    """Suppresses offers once one was held in vain while nobody needed any, and revives them at the first need.

    All is told by one task, so what was told last is what holds.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.is_needed: Callable[[], bool] = lambda: True
        """Whether anybody waits for offers, or is about to."""
        self._was_in_vain = False
        self._is_asked = False
        self._is_suppressed = False
        self._offered_at = -math.inf
        self._woken = trio.Event()

    def arose(self) -> None:
        """Somebody needs offers."""
        self._woken.set()

    def ask(self) -> bool:
        """Somebody wants to look at what there is: whether offers were suppressed, and will come soon."""
        if self._is_suppressed:
            self._is_asked = True
            self._woken.set()
        return self._is_suppressed

    def in_vain(self) -> None:
        """An offer was held as long as it may be, and goes back."""
        self._was_in_vain = True
        self._woken.set()

    def offered(self) -> None:
        """Offers have come."""
        self._offered_at = trio.current_time()

    def connected(self) -> None:
        """To whoever subscribes offers are made, whatever was told before."""
        self._is_suppressed = self._was_in_vain = False
        self._offered_at = trio.current_time()
        self._woken.set()

    async def run(self) -> None:
        while True:
            self._woken = trio.Event()
            is_needed = self.is_needed() or self._is_asked
            was_in_vain, self._was_in_vain, self._is_asked = self._was_in_vain, False, False
            if is_needed and (self._is_suppressed or self._due_at() <= trio.current_time()):
                self._is_suppressed = False
                self.offered()  # as far as the wait for them goes
                await self._engine.revive()
            elif was_in_vain and not is_needed:
                self._is_suppressed = True
                await self._engine.suppress()
            with trio.CancelScope(deadline=self._due_at() if is_needed else math.inf):
                await self._woken.wait()

    def _due_at(self) -> float:
        return self._offered_at + AGAIN_S
