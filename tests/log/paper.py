"""What a journal does with records, in the plainest way: for tests of those who write them."""

from __future__ import annotations

from collections.abc import Iterable

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


class Paper:
    """Values by position, and the rest of what is stored."""

    def __init__(self) -> None:
        self.metadata = Metadata(Status.EMPTY, 0, NOBODY)
        self.promised: Proposal = NOBODY
        self.last: Proposal = NOBODY
        self.begin = self.learned_to = self.end = 0
        self.values: dict[int, Value] = {}

    def write(self, records: Iterable[Record]) -> None:
        for record in records:
            self._write(record)
            assert self.begin <= self.learned_to <= self.end, record
            assert all(position in self.values for position in (self.begin, self.end - 1) if self.begin < self.end)

    def _write(self, record: Record) -> None:
        match record:
            case Metadata():
                self.metadata = record
                self.promised = record.promised
            case Wrote(proposal, first, values):
                assert self.learned_to <= first <= self.end, (record, self.learned_to, self.end)
                assert proposal >= self.promised, record
                for position in range(first, self.end):
                    del self.values[position]
                self.values.update(enumerate(values, first))
                self.end = first + len(values)
                self.last = self.promised = proposal
            case Caught(first, values):
                assert self.learned_to <= first <= self.end, (record, self.learned_to, self.end)
                self.values.update(enumerate(values, first))
                self.learned_to = first + len(values)
                self.end = max(self.end, self.learned_to)
            case Known(to):
                assert self.learned_to <= to <= self.end, (record, self.learned_to, self.end)
                self.learned_to = to
            case Begin(begin):
                for position in range(self.begin, min(begin, self.end)):
                    del self.values[position]
                self.begin = max(self.begin, begin)
                self.learned_to = max(self.learned_to, begin)
                self.end = max(self.end, begin)
            case Dropped():
                for position in range(self.learned_to, self.end):
                    del self.values[position]
                self.end = self.learned_to
                self.last = NOBODY

    def stored(self) -> Stored:
        return Stored(
            self.metadata.status,
            self.metadata.member,
            self.promised,
            self.begin,
            self.learned_to,
            self.last,
            self.end,
            self.read(self.learned_to),
            self.metadata.placed,
        )

    def read(self, first: int, limit: int = 1 << 30) -> list[Value]:
        return [self.values[position] for position in range(first, min(self.end, first + limit))]

    def placed(self) -> Placed:
        """The last configuration in it."""
        placed = self.metadata.placed
        for position, value in self.values.items():
            if isinstance(value, Configuration) and position > placed.position:
                placed = Placed(value, position)
        return placed


def initialized() -> Paper:
    paper = Paper()
    paper.write([Metadata(Status.VOTING, 0, NOBODY)])
    return paper
