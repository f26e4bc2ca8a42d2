"""Time, as commands see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Clock:
    """Seconds on a clock that only goes forward, and how to wait on it."""

    now: Callable[[], float]
    sleep: Callable[[float], None]
