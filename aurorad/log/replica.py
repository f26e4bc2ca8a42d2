"""What a member has promised, taken and learned, and the rules by which that changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from aurorad.log.messages import (
    NOBODY,
    Accepted,
    Begin,
    Behind,
    Caught,
    Configuration,
    Dropped,
    Fetched,
    Ignored,
    Known,
    Metadata,
    Placed,
    Promise,
    Promised,
    Proposal,
    Record,
    Rejected,
    Status,
    Stored,
    Truncate,
    Value,
    Write,
    Wrote,
)
from aurorad.log.recent import Recent


class Replica:
    """Positions `begin` to `end` are all there; below `learned_to` they are chosen and never change.

    Every answer stands on what was given to `write_down` before it: it must not be heard before that is durable.
    """

    def __init__(
        self, stored: Stored, quorum: int, write_down: Callable[[Record], None], draw: Callable[[], int]
    ) -> None:
        """`draw` gives a new id."""
        self.status = stored.status
        self.member = stored.member
        self.promised: Proposal = max(stored.promised, stored.last)
        self.last: Proposal = stored.last
        self.begin = stored.begin
        self.learned_to = stored.learned_to
        self.placed = stored.placed
        """The last configuration learned."""
        self.room = True
        self.delivered = stored.learned_to
        """Up to here learned values were handed out."""
        self.recent = Recent(stored.learned_to, stored.tail)
        self._quorum = quorum
        self._write_down = write_down
        self._draw = draw
        self._durable_end = self.end
        self._marks: deque[tuple[int, int]] = deque()  # ticket, and the end that is durable with it
        self._known = stored.learned_to  # what the journal knows of learned_to
        if not self.member:
            self.member = draw()
            self._write_metadata()

    @property
    def end(self) -> int:
        return self.recent.end

    # --- What others ask ---

    def promise(self, asked: Promise) -> Promised | Rejected | Ignored | None:
        """Take nothing below the proposal from now on, and tell what is here. Asked twice, the same is answered."""
        if why := self._mute():
            return Ignored(self.member, asked.proposal, why)
        if asked.quorum != self._quorum:
            return Ignored(self.member, asked.proposal, f"it has quorum {self._quorum}, not {asked.quorum}")
        if asked.proposal < self.promised:
            return Rejected(self.member, asked.proposal, self.promised)
        if asked.proposal == self.last:
            return None  # long since: this is an old question
        if asked.proposal > self.promised:
            self.promised = asked.proposal
            self._write_metadata()
        better = (self.last, self.end) > (asked.last, asked.end)
        tail = self.recent.slice(self.learned_to, self.end) if better else ()
        return Promised(self.member, asked.proposal, self.learned_to, self.last, self.end, tail, self.configurations())

    def write(self, write: Write, *, mine: bool = False) -> Accepted | Rejected | Ignored | Behind:
        """Take what the leader wrote, if nothing higher is promised and no hole would come of it.

        `mine`: it leads itself, and has made room.
        """
        if why := self._mute():
            return Ignored(self.member, write.proposal, why)
        if write.proposal < self.promised:
            return Rejected(self.member, write.proposal, self.promised)
        if not self.room and not mine and write.first + len(write.values) > self.end:
            return Ignored(self.member, write.proposal, "it has no room")
        if self.last != write.proposal:
            if write.base == self.last and self.learned_to < write.first <= self.end:
                self.learn(write.first)
            if self.learned_to < write.first:
                return Behind(self.member, write.proposal, self.learned_to, self.last, self.end)
            self._put(write.proposal, self.learned_to, write.values[self.learned_to - write.first :])
        elif write.first > self.end:
            return Behind(self.member, write.proposal, self.learned_to, self.last, self.end)
        elif write.first + len(write.values) > self.end:
            self._put(write.proposal, self.end, write.values[self.end - write.first :])
        self.learn(min(write.learned, self.end))
        return Accepted(self.member, write.proposal, self.end)

    def believe(self, proposal: Proposal, to: int) -> bool:
        """Positions below `to` are chosen as the proposal wrote them. Whether all of them are learned here now."""
        if self.last == proposal:
            self.learn(min(to, self.end))
        return self.learned_to >= to

    # --- What is learned ---

    def learn(self, to: int) -> None:
        """The positions below `to`, which are here, are chosen."""
        if to <= self.learned_to:
            return
        first, self.learned_to = self.learned_to, to
        for offset, value in enumerate(self.recent.slice(first, to)):
            if type(value) is not bytes:
                self._obey(first + offset, value)

    def caught(self, told: Fetched) -> None:
        """Take learned values from another member, if they continue what is learned here."""
        if told.promised > self.promised:
            self.promised = told.promised
            self._write_metadata()
        if told.begin > self.learned_to:
            self._begin_at(told)
        skip = self.learned_to - told.first
        if not 0 <= skip < len(told.values):
            return
        values = told.values[skip:]
        self._write_down(Caught(self.learned_to, values))
        self._not_durable_from(self.learned_to)
        self.recent.overlay(self.learned_to, values)
        self.learn(self.learned_to + len(values))
        self._known = self.learned_to

    def forgotten(self, told: Fetched) -> None:
        """Forget what the one who tells has forgotten, and take nothing."""
        self.caught(Fetched(told.promised, told.begin, told.first, (), told.placed))
        self._forget_before(min(told.begin, self.delivered))

    def configurations(self) -> list[Placed]:
        """The last configuration learned, and those behind it that are here, be they chosen or not."""
        tail = enumerate(self.recent.slice(self.learned_to, self.end), self.learned_to)
        return [self.placed] + [
            Placed(value, position)
            for position, value in tail
            if isinstance(value, Configuration) and position > self.placed.position
        ]

    # --- What this member becomes ---

    def become(self, status: Status) -> None:
        self.status = status
        self._write_metadata()

    def begin_as_new(self) -> None:
        """Forget what was promised and taken, and be another member for that, without a vote."""
        self.write_known()
        self._not_durable_from(self.learned_to)
        self.recent.cut(self.learned_to)
        self.promised = self.last = NOBODY
        self.member = self._draw()
        self._write_down(Dropped())
        self.become(Status.RECOVERING)

    # --- What is durable ---

    @property
    def knows_more(self) -> bool:
        """Whether more is learned than was written down."""
        return self.learned_to > self._known

    def write_known(self) -> None:
        if self.knows_more:
            self._known = self.learned_to
            self._write_down(Known(self.learned_to))

    def taken(self, ticket: int) -> None:
        """What was written down so far is durable with this ticket."""
        self._marks.append((ticket, self.end))

    def durable(self, ticket: int) -> None:
        while self._marks and self._marks[0][0] <= ticket:
            _, self._durable_end = self._marks.popleft()

    def deliver(self) -> tuple[int, list[Value]]:
        """The values, learned and durable, that were not handed out yet."""
        first = self.delivered
        self.delivered = max(first, min(self.learned_to, self._durable_end))
        values = self.recent.slice(first, self.delivered)
        self.recent.trim(self.delivered)
        return first, values

    # --- Within ---

    def _mute(self) -> str | None:
        return None if self.status is Status.VOTING else f"it is {self.status.name}"

    def _put(self, proposal: Proposal, first: int, values: Sequence[Value]) -> None:
        self._write_down(Wrote(proposal, first, values))
        self.last = self.promised = proposal
        if first < self.end:
            self._not_durable_from(first)
            self.recent.cut(first)
        self.recent.append(values)

    def _obey(self, position: int, value: Value) -> None:
        if isinstance(value, Truncate):
            self._forget_before(min(value.to, position))
        elif isinstance(value, Configuration):
            self._learn_placed(Placed(value, position))

    def _forget_before(self, begin: int) -> None:
        if begin > self.begin:
            self.begin = begin
            self._write_down(Begin(begin))

    def _learn_placed(self, placed: Placed) -> None:
        if placed.configuration is None or placed.position <= self.placed.position:
            return
        self.placed = placed
        if self.member in placed.configuration.ids:
            self.status = Status.VOTING
        self._write_metadata()

    def _begin_at(self, told: Fetched) -> None:
        """What is missing here was forgotten by who has it: go on where its log begins."""
        self._write_down(Begin(told.begin))
        self.begin = self.learned_to = self.delivered = told.begin
        self.recent.begin_at(told.begin)
        self._known = told.begin
        self._learn_placed(told.placed)

    def _not_durable_from(self, position: int) -> None:
        self._durable_end = min(self._durable_end, position)
        self._marks = deque((ticket, min(end, position)) for ticket, end in self._marks)

    def _write_metadata(self) -> None:
        self._write_down(Metadata(self.status, self.member, self.promised, self.placed))
