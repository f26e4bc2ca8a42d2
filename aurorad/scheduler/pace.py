"""Long computations on the event loop, in small bites."""

from __future__ import annotations

import trio

_BITE_S = 0.01  # a fifth of what anything may hold the loop


class Pace:
    """Call `breathe` often while computing: it lets others run whenever this task had the loop for 10 ms."""

    def __init__(self) -> None:
        self._since = trio.current_time()

    async def breathe(self) -> None:
        """A checkpoint if one is due; nothing otherwise."""
        if trio.current_time() - self._since >= _BITE_S:
            await trio.lowlevel.checkpoint()
            self._since = trio.current_time()
