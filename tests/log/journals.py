"""Journals for tests, and a plain account of what one must know."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import strategies as st

from aurorad.log.journal import Journal
from aurorad.log.messages import (
    NOBODY,
    Begin,
    Caught,
    Configuration,
    Dropped,
    Known,
    Metadata,
    Placed,
    Proposal,
    Record,
    Status,
    Stored,
    Value,
    Wrote,
)
from tests.log.fake_disk import FakeDisk

SMALL = 4096
"""Bytes of a file, so that a few records fill it."""
A_SECTOR = 512
LEADER: Proposal = (1, 11)
VOTING = Metadata(Status.VOTING, 11, LEADER)


def journal_on(disk: FakeDisk, *, alone: bool = True) -> Journal:
    return Journal.open(disk, alone=alone, rng=random.Random(3), segment_bytes=SMALL)


def filled(count: int = 30, disk: FakeDisk | None = None) -> tuple[FakeDisk, Journal]:
    """A voting member with `count` entries, all but the last of them learned, each appended alone."""
    disk = disk or FakeDisk(sector=A_SECTOR)
    journal = journal_on(disk)
    journal.append([VOTING])
    fill(journal, count)
    return disk, journal


def fill(journal: Journal, end: int) -> None:
    for at in range(journal.end, end):
        journal.append([Wrote(LEADER, at, [entry(at)]), Known(at)])


def entry(position: int) -> bytes:
    return b"%06d" % position * 50


def values_of(journal: Journal, max_bytes: int = 1000) -> dict[int, Value]:
    found: dict[int, Value] = {}
    at = journal.begin
    while some := journal.read(at, max_bytes):
        found.update(enumerate(some, at))
        at += len(some)
    return found


class Model:
    """What records mean, told in another way than `Standing` does."""

    def __init__(self) -> None:
        self.metadata = Metadata(Status.EMPTY, 0, NOBODY)
        self.last = NOBODY
        self.begin = self.learned_to = self.end = 0
        self.values: dict[int, Value] = {}

    def copy(self) -> Model:
        copy = Model()
        copy.__dict__ |= {**self.__dict__, "values": dict(self.values)}
        return copy

    def apply(self, record: Record) -> None:
        match record:
            case Metadata():
                self.metadata = record
            case Wrote(proposal, first, values):
                self._cut(first)
                self._put(first, values)
                self.end, self.last = first + len(values), proposal
                if proposal > self.metadata.promised:
                    old = self.metadata
                    self.metadata = Metadata(old.status, old.member, proposal, old.placed)
            case Caught(first, values):
                self._put(first, values)
                self.learned_to = max(self.learned_to, first + len(values))
                self.end = max(self.end, self.learned_to)
            case Known(to):
                self.learned_to = max(self.learned_to, to)
            case Begin(begin):
                self.begin = max(self.begin, begin)
                self.learned_to, self.end = max(self.learned_to, begin), max(self.end, begin)
                self.values = {at: value for at, value in self.values.items() if at >= self.begin}
            case Dropped():
                self._cut(self.learned_to)
                self.end, self.last = self.learned_to, NOBODY

    def _cut(self, position: int) -> None:
        self.values = {at: value for at, value in self.values.items() if at < position}

    def _put(self, first: int, values: Sequence[Value]) -> None:
        self.values.update(enumerate(values, first))

    def stored(self) -> Stored:
        metadata = self.metadata
        tail = tuple(self.values[at] for at in range(self.learned_to, self.end))
        numbers = (metadata.status, metadata.member, metadata.promised, self.begin, self.learned_to)
        return Stored(*numbers, self.last, self.end, tail, metadata.placed)


def assert_knows(journal: Journal, model: Model) -> None:
    assert journal.stored == model.stored()
    assert values_of(journal) == model.values


_configurations = st.builds(Configuration, st.just("c"), st.integers(1, 3), st.just(((1, "a:1"), (2, "b:1"))))
_LONG = {"short": b"a", "zeros": bytes(1500), "text": b"some text " * 150}
_values = st.lists(st.one_of(st.sampled_from(sorted(_LONG)).map(_LONG.__getitem__), _configurations), max_size=3)
_parts = st.floats(0, 1)

steps = st.one_of(
    st.tuples(st.just("wrote"), _parts, _values),
    st.tuples(st.just("add"), _parts, _values),
    st.tuples(st.just("caught"), _parts, _values),
    st.tuples(st.just("known"), _parts, st.just(())),
    st.tuples(st.just("begin"), _parts, st.just(())),
    st.tuples(st.just("far"), _parts, st.just(())),
    st.tuples(st.just("dropped"), _parts, st.just(())),
    st.tuples(st.just("metadata"), _parts, st.just(())),
)
Step = tuple[str, float, Sequence[Value]]


def record_of(step: Step, model: Model, number: int) -> Record:
    """A record that may follow."""
    name, part, values = step
    tail = model.learned_to + round(part * (model.end - model.learned_to))
    match name:
        case "wrote":
            return Wrote((number, 1), tail, values)
        case "add":
            return Wrote((number, 1), model.end, values)
        case "caught":
            return Caught(model.learned_to, values)
        case "known":
            return Known(tail)
        case "begin":
            return Begin(round(part * model.learned_to))
        case "far":
            return Begin(model.end + round(part * 3))
        case "dropped":
            return Dropped()
        case _:
            return Metadata(Status.VOTING, 7, (number, 2), Placed(Configuration("c", 2, ((number, "a:1"),)), number))
