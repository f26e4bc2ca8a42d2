"""What a simulation did, line by line, and what was wrong with it."""

from __future__ import annotations

from typing import NamedTuple

import trio


class Violation(NamedTuple):
    """An invariant does not hold. `rule` is its name in `tests/simulation/README.md`."""

    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}"


class Trace:
    """Equal for equal seeds, byte for byte."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.violations: list[Violation] = []

    def __call__(self, who: str, what: str) -> None:
        self.lines.append(f"{trio.current_time():11.4f} {who:9} {what}")

    def violated(self, rule: str, what: str) -> None:
        """Note it; the simulation ends soon after."""
        self.violations.append(Violation(rule, what))
        self("VIOLATED", f"{rule}: {what}")
