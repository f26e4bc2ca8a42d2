"""A dictionary in many small ones: a single one of a million entries holds everybody up when it grows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TypeVar

V = TypeVar("V")

_SPREAD = 3
"""How many last characters of a key tell its part: 4,096 for ids that end as UUIDs do.

So many grow one after the other, though all get full at much the same time; and unlike hashes, they say the same in
every process, which orders what iterates them.
"""


class Parted(MutableMapping[str, V]):
    """By the ids of tasks, of which there may be a million."""

    __slots__ = ("_len", "_parts")

    def __init__(self) -> None:
        self._parts: dict[str, dict[str, V]] = {}
        self._len = 0

    def __getitem__(self, key: str) -> V:
        return self._parts[key[-_SPREAD:]][key]

    def __setitem__(self, key: str, value: V) -> None:
        part = self._part(key)
        before = len(part)
        part[key] = value
        self._len += len(part) - before

    def __delitem__(self, key: str) -> None:
        end = key[-_SPREAD:]
        part = self._parts[end]
        del part[key]
        self._len -= 1
        if not part:
            del self._parts[end]

    def __iter__(self) -> Iterator[str]:
        for part in self._parts.values():
            yield from part

    def __len__(self) -> int:
        return self._len

    def insert(self, items: Mapping[str, V]) -> None:
        """Add many, none of which is there."""
        for key, value in items.items():
            self._part(key)[key] = value
        self._len += len(items)

    def has_any(self, keys: Iterable[str]) -> bool:
        """Whether one of these is there."""
        return any(key in self._parts.get(key[-_SPREAD:], ()) for key in keys)

    def _part(self, key: str) -> dict[str, V]:
        end = key[-_SPREAD:]
        part = self._parts.get(end)
        if part is None:
            part = self._parts[end] = {}
        return part
