"""Groups that found nothing, by what they wait for."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from aurorad.api.tasks import TaskConfig
from aurorad.scheduler.candidates import Candidates
from aurorad.scheduler.groups import Group


class Waiting:
    """First come, first served."""

    def __init__(self) -> None:
        self._groups: dict[Candidates, dict[TaskConfig, Group]] = {}

    def __bool__(self) -> bool:
        return bool(self._groups)

    def candidates(self) -> Iterable[Candidates]:
        """What groups wait for."""
        return self._groups.keys()

    def first(self, candidates: Candidates, count: int | None) -> list[Group]:
        """The first of those who wait for the same; None: all."""
        return list(itertools.islice(self._groups.get(candidates, _NOBODY).values(), count))

    def add(self, group: Group) -> None:
        self._groups.setdefault(group.candidates, {})[group.config] = group

    def remove(self, group: Group) -> None:
        """Nothing happens if it does not wait."""
        groups = self._groups.get(group.candidates)
        if groups is not None:
            groups.pop(group.config, None)
            if not groups:
                del self._groups[group.candidates]


_NOBODY: dict[TaskConfig, Group] = {}
