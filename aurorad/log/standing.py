"""Where a member stands after the records of its journal: the same when they are written and when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from aurorad.log.index import Index, Place
from aurorad.log.messages import (
    NOBODY,
    Begin,
    Caught,
    Dropped,
    Known,
    Metadata,
    Placed,
    Proposal,
    Record,
    Status,
    Value,
    Wrote,
)


class State(msgspec.Struct, frozen=True, array_like=True):
    """All that a journal's file must tell of those before it, so that they can be removed."""

    status: Status = Status.EMPTY
    member: int = 0
    promised: Proposal = NOBODY
    last: Proposal = NOBODY
    begin: int = 0
    learned_to: int = 0
    end: int = 0
    placed: Placed = Placed()
    """The last configuration that is learned, as metadata told it."""


class Span(NamedTuple):
    """Where a log begins and ends, and how far it is learned."""

    begin: int
    learned_to: int
    end: int


def after(span: Span, record: Record) -> Span:
    """What becomes of the span. Raises `ValueError` if the record cannot follow."""
    begin, learned_to, end = span
    match record:  # by attributes: patterns of positions are slow, and a log has many records
        case Wrote():
            fits = begin <= record.first <= end
            end = record.first + len(record.values)
            fits = fits and learned_to <= end
        case Known():
            fits = record.to <= end
            learned_to = max(learned_to, record.to)
        case Caught():
            fits = begin <= record.first <= end
            learned_to = max(learned_to, record.first + len(record.values))
            end = max(end, learned_to)
        case Begin():
            fits = True
            begin, learned_to, end = (max(record.begin, number) for number in span)
        case Dropped():
            fits = True
            end = learned_to
        case Metadata():
            return span
    if not fits:
        raise ValueError(f"{type(record).__name__} cannot follow {span}: {str(record)[:200]}")
    return Span(begin, learned_to, end)


class Standing:
    """Applies records. `index` tells where the values are; it may lack the oldest ones, whose file was removed."""

    def __init__(self, state: State) -> None:
        self.status = state.status
        self.member = state.member
        self.promised = state.promised
        self.last = state.last
        self.span = Span(state.begin, state.learned_to, state.end)
        self.placed = state.placed
        self.index = Index(state.begin, state.end)

    def state(self) -> State:
        return State(self.status, self.member, self.promised, self.last, *self.span, self.placed)

    def apply(self, record: Record, place: Place) -> None:
        """Raises `ValueError` if the record cannot follow those before it; then nothing has changed."""
        before, self.span = self.span, after(self.span, record)
        match record:
            case Wrote():
                if record.first < before.end:
                    self.index.drop_from(record.first)
                self._put(record.first, record.values, place)
                self.last = record.proposal
                self.promised = max(self.promised, record.proposal)
            case Known():
                pass
            case Caught():
                self._put(record.first, record.values, place)
            case Metadata():
                self.status, self.member, self.promised = record.status, record.member, record.promised
                self.placed = record.placed
            case Begin():
                if self.span.end > before.end:
                    self.index = Index(self.span.end)
                self.index.drop_before(self.span.begin)
            case Dropped():
                self.index.drop_from(self.span.end)
                self.last = NOBODY

    def _put(self, first: int, values: Sequence[Value], place: Place) -> None:
        if values:
            self.index.put(first, first + len(values), place)
