"""How many instances an update takes on next (updates sheet, section 5)."""

from __future__ import annotations

from enum import Enum, auto
from itertools import accumulate
from typing import NamedTuple

from aurorad.api.updates import JobUpdateSettings


class Kind(Enum):
    QUEUE = auto()
    BATCH = auto()
    VARIABLE_BATCH = auto()


class Strategy(NamedTuple):
    """`sizes` has one entry unless the batches vary."""

    kind: Kind
    sizes: tuple[int, ...]
    autopause: bool = False

    def has_room(self, active: int) -> bool:
        """Whether any more may be started beside the `active` ones."""
        return active < self.sizes[0] if self.kind is Kind.QUEUE else active == 0

    def group_size(self, *, idle: int, active: int, started: int, forward: bool) -> int:
        """How many of the `idle` instances to start now.

        `active` are in progress, `started` had their turn in this direction, finished or not.
        """
        if not self.has_room(active):
            return 0
        if self.kind is Kind.QUEUE:
            return min(idle, self.sizes[0] - active)
        if self.kind is Kind.BATCH:
            return min(idle, self.sizes[0])
        return min(idle, self._variable_forward(started) if forward else self._variable_backward(idle))

    def groups_started(self, started: int) -> int:
        """How many groups a forward update began to have `started` instances."""
        groups, covered = 0, 0
        while covered < started:
            covered += self.sizes[min(groups, len(self.sizes) - 1)]
            groups += 1
        return groups

    def _variable_forward(self, started: int) -> int:
        """The first size whose running sum exceeds what was started; past the sum the last one."""
        sums = zip(self.sizes, accumulate(self.sizes), strict=True)
        return next((size for size, total in sums if total > started), self.sizes[-1])

    def _variable_backward(self, remaining: int) -> int:
        """The forward groups in reverse: what is left after taking off the sizes that came before."""
        for size in self.sizes:
            if size >= remaining:
                return remaining
            remaining -= size
        return remaining % self.sizes[-1] or self.sizes[-1]


def strategy_of(settings: JobUpdateSettings) -> Strategy:
    """Raises `ValueError` for settings that give no strategy this scheduler knows."""
    chosen = settings.update_strategy
    if chosen is None:
        kind = Kind.BATCH if settings.wait_for_batch_completion else Kind.QUEUE
        return _checked(Strategy(kind, (settings.update_group_size,)))
    if chosen.queue_strategy is not None:
        return _checked(Strategy(Kind.QUEUE, (chosen.queue_strategy.group_size,)))
    if chosen.batch_strategy is not None:
        batch = chosen.batch_strategy
        return _checked(Strategy(Kind.BATCH, (batch.group_size,), batch.autopause_after_batch))
    if chosen.var_batch_strategy is not None:
        varying = chosen.var_batch_strategy
        return _checked(Strategy(Kind.VARIABLE_BATCH, varying.group_sizes, varying.autopause_after_batch))
    raise ValueError("Update strategy provided is unknown.")


def _checked(strategy: Strategy) -> Strategy:
    if not strategy.sizes or min(strategy.sizes) <= 0:
        raise ValueError("Update group size(s) must be positive.")
    return strategy
