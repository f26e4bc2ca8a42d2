"""Whole numbers as closed ranges, and back: instances and ports are told that way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aurorad.api.updates import Range


def spans(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """The fewest closed ranges that hold just these, in ascending order: 0, 1, 2, 5 is (0, 2) and (5, 5)."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


def numbers(ranges: Iterable[Range]) -> Iterator[int]:
    """All that lie in the ranges, one after the other."""
    return (number for span in ranges for number in range(span.first, span.last + 1))
