from __future__ import annotations

import random

from aurorad.log.messages import Nop, Value
from aurorad.log.recent import KEEP_BYTES, KEEP_VALUES, Recent


def test_it_does_what_a_dictionary_would() -> None:
    rng = random.Random(1)
    recent = Recent(5)
    plain: dict[int, Value] = {}
    start = end = 5
    for step in range(3000):
        values: list[Value] = [b"%d" % step if rng.random() < 0.9 else Nop() for _ in range(rng.randrange(4))]
        match rng.randrange(12):
            case 0:
                cut = rng.randint(start, end)
                recent.cut(cut)
                plain, end = {position: value for position, value in plain.items() if position < cut}, cut
            case 1:
                first = rng.randint(start, end)
                recent.overlay(first, values)
                plain.update(enumerate(values, first))
                end = max(end, first + len(values))
            case 2:
                start = rng.randint(start, start + 10)
                end = max(start, end)
                recent.begin_at(start)
                plain = {position: value for position, value in plain.items() if position >= start}
            case _:
                recent.append(values)
                plain.update(enumerate(values, end))
                end += len(values)
        assert (recent.start, recent.end) == (start, end)
        assert recent.slice(start, end) == [plain[position] for position in range(start, end)]


def test_old_values_are_dropped_when_there_are_too_many() -> None:
    recent = Recent(0)
    for _ in range(1000):
        recent.append([b"x"] * 100)
        recent.trim(recent.end)
        assert recent.end - recent.start <= 2 * KEEP_VALUES
    assert recent.end - recent.start >= KEEP_VALUES - 100
    assert recent.slice(recent.end - 1, recent.end) == [b"x"]


def test_old_values_are_dropped_when_they_are_too_large() -> None:
    recent = Recent(0)
    for _ in range(200):
        recent.append([bytes(1 << 18)])
        recent.trim(recent.end)
    assert (recent.end - recent.start) << 18 <= 2 * KEEP_BYTES


def test_what_is_needed_stays() -> None:
    recent = Recent(0)
    for _ in range(200):
        recent.append([b"x"] * 100)
        recent.trim(150)
    assert recent.start <= 150
    assert recent.end == 20000
