"""How often something may be done."""

from __future__ import annotations

import trio

_SHORTEST_S = 0.001
"""A shorter wait may not move the clock at all, as long as numbers are rounded."""


class Permits:
    """So many a second, of which those of one second may be saved up; None: without limit."""

    def __init__(self, per_second: float | None) -> None:
        self._per_second = per_second
        self._saved = max(1.0, per_second) if per_second is not None else 1.0
        self._at = -1.0  # before there was any time

    def has_any(self) -> bool:
        self._save()
        return self._saved >= 1

    def take(self) -> bool:
        """Use one, if there is one."""
        if not self.has_any():
            return False
        if self._per_second is not None:
            self._saved -= 1
        return True

    async def wait(self) -> None:
        """Until there is one."""
        while not self.has_any():
            assert self._per_second is not None, "without a limit there is always one"
            await trio.sleep(max(_SHORTEST_S, (1 - self._saved) / self._per_second))

    def _save(self) -> None:
        if self._per_second is not None:
            now = trio.current_time()
            if self._at >= 0:
                self._saved = min(max(1.0, self._per_second), self._saved + (now - self._at) * self._per_second)
            self._at = now
