"""Leading: writes go to all, a quorum makes them chosen, and who lacks some gets them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence

from aurorad.log.candidate import Opening
from aurorad.log.configuration import next_configuration
from aurorad.log.here import PIECE_BYTES, Here
from aurorad.log.messages import (
    Accepted,
    Beat,
    Behind,
    Forgotten,
    Heard,
    Learned,
    Proposal,
    Rejected,
    Value,
    Write,
)

# Who answered one of so many last beats is there.
_LATELY = 4


class Coordinator:
    """One proposal's log. What is in it is in this member's replica too, first of all."""

    def __init__(self, here: Here, now: float, opening: Opening) -> None:
        self._here = here
        self.proposal: Proposal = opening.write.proposal
        self._opening = opening.write
        self.opened_to = opening.write.first + len(opening.write.values)
        """Once all below this is chosen, this member is elected."""
        self._configuration = opening.configuration
        self._changed_at = opening.position
        self._voters = opening.voters
        """Who counts now: while a change is not chosen, those who vote before and after it."""
        self._accepted: dict[int, int] = {}  # member -> end, durable there
        self._accepted_at: dict[int, int] = {}  # member -> the last beat sent when it said so
        self._heard: dict[int, int] = {}  # member -> the last beat it answered
        self._distrusted: set[int] = set()
        self._twins: frozenset[int] = here.twins
        self._missed: dict[int, float] = {}  # member with a seat, not seen since
        self._resent: dict[int, tuple[float, tuple[Proposal, int]]] = {}  # when, and where the member stood then
        self._lacking: dict[int, int] = {}  # member -> the end of the piece it was sent, of more
        self._in_flight: deque[tuple[int, float]] = deque()  # end of a write, when it was written
        self._token = 0  # the last beat
        self._wanted = 0  # the last beat that somebody waits for
        self.confirmed = 0
        self._beat_ends: deque[tuple[int, int]] = deque(maxlen=8)  # beat, the log's end at that time
        self._beat_at = now
        self._is_amid = False  # more is to follow right behind what was written
        self._told = 0  # up to here the others were told what is chosen
        self._put(now, opening.write)
        self.beat(now)

    @property
    def elected(self) -> bool:
        return self._here.replica.learned_to >= self.opened_to

    @property
    def next_at(self) -> float:
        if self._in_flight:
            return min(self._beat_at, self._in_flight[0][1] + self._here.timing.write_s)
        return self._beat_at

    # --- What is asked of it ---

    def append(self, now: float, values: Sequence[Value], *, more: bool = False) -> int:
        """The position of the first. `more` follow with the next call, and nothing may come between."""
        replica = self._here.replica
        first = replica.end
        self._is_amid = more
        self._told = replica.learned_to
        self._put(now, Write(self.proposal, self.proposal, first, values, replica.learned_to))
        return first

    def confirm(self) -> int:
        """The token of a beat that was not sent yet. It goes out at once, unless an earlier one is awaited."""
        self._wanted = self._token + 1
        return self._wanted

    def pending_beat(self, now: float) -> None:
        """Send the beat that `confirm` asked for, if it is time: one for all who asked."""
        if self._wanted > self._token and self.confirmed == self._token:
            self.beat(now)

    def tick(self, now: float) -> str | None:
        """Why this is the end of leading, or None."""
        if self._in_flight and now >= self._in_flight[0][1] + self._here.timing.write_s:
            return f"No quorum took a write within {self._here.timing.write_s:g} s"
        if now >= self._beat_at:
            # In beats, not by the clock: after this machine stood still the others have their time to answer.
            if (self._token - self.confirmed) * self._here.timing.beat_s >= self._here.timing.write_s:
                return f"No quorum answered for {self._here.timing.write_s:g} s"
            self.beat(now)
            self.change_voters(now)
        return None

    def beat(self, now: float) -> None:
        here = self._here
        self._token += 1
        self._beat_at = now + here.timing.beat_s
        self._told = here.replica.learned_to
        self._beat_ends.append((self._token, here.replica.end))
        here.tell_all(Beat(self.proposal, self._token, self._told, here.replica.end))
        self._count_heard(here.replica.member, self._token)

    def see(self, now: float) -> None:
        """The members, or what they say of themselves, are others now."""
        self._twins = self._here.twins
        self.change_voters(now)

    def change_voters(self, now: float) -> None:
        """Write the next step towards a log in which all vote who are seen, if there is one and none is under way."""
        here = self._here
        if self._is_amid or not self.elected or here.replica.learned_to <= self._changed_at:
            return
        present = {peer.member for peer in here.peers.values() if peer is not None} | {here.replica.member}
        self._missed = {member: self._missed.get(member, now) for member in self._voters - present}
        gone = {member for member, since in self._missed.items() if now >= since + here.timing.gone_s}
        new = next_configuration(self._configuration, here.me, here.address, here.peers, gone)
        if new is None:
            return
        unseated = self._configuration.ids - new.ids
        if any(now < self._missed.get(member, now) + here.timing.away_s for member in unseated):
            return  # it may only have moved
        choosing = self._configuration.ids & new.ids
        there = [
            member
            for member in self._counted(choosing) & present
            if self._heard.get(member, -_LATELY) > self._token - _LATELY
        ]
        if len(there) < here.quorum:
            return  # nobody could choose it
        self._voters = choosing
        self._configuration = new
        self._changed_at = here.replica.end
        self.append(now, [new])

    # --- What is answered ---

    def accepted(self, now: float, sender: str, answer: Accepted) -> None:
        if answer.proposal != self.proposal:
            return
        member = answer.member
        if answer.end > self._accepted.get(member, -1):
            self._accepted[member] = answer.end
            self._accepted_at[member] = self._token
            self._choose()
            if self._lacking.get(member, answer.end + 1) <= answer.end:  # a piece of what it lacked: the next one
                self._resend(now, sender, Behind(member, self.proposal, 0, self.proposal, answer.end))

    def rejected(self, answer: Rejected) -> bool:
        """Whether this is the end of leading: one who votes has promised to somebody else."""
        return answer.proposal == self.proposal and answer.member in self._voters

    def behind(self, now: float, sender: str, answer: Behind) -> None:
        if answer.proposal == self.proposal:
            self._resend(now, sender, answer)

    def heard(self, now: float, sender: str, answer: Heard) -> None:
        if answer.proposal != self.proposal:
            return
        member, told = answer.member, self._accepted.get(answer.member, 0)
        if answer.token > self._accepted_at.get(member, self._token) and (
            answer.last != self.proposal or answer.end < told
        ):
            # Asked after it had accepted more than it has: it was given an old disk.
            self._distrusted.add(member)
            self._here.outbox.send((sender,), Forgotten(self.proposal, member))
            return
        self._count_heard(member, answer.token)
        if not answer.voting:
            return
        for token, end in self._beat_ends:
            if token == answer.token and (answer.last != self.proposal or answer.end < end):
                self._resend(now, sender, answer)

    # --- Within ---

    def _put(self, now: float, write: Write) -> None:
        here = self._here
        answer = here.replica.write(write, mine=True)
        assert isinstance(answer, Accepted), answer
        here.outbox.hold((here.address,), answer)
        here.tell_all(write)
        self._in_flight.append((here.replica.end, now))

    def _choose(self) -> None:
        replica = self._here.replica
        to = min(replica.end, _shared_by(self._here.quorum, self._counted(self._voters), self._accepted))
        if to <= replica.learned_to or to < self.opened_to:
            return
        replica.learn(to)
        while self._in_flight and self._in_flight[0][0] <= to:
            self._in_flight.popleft()
        if to > self._changed_at and self._voters != self._configuration.ids:
            self._voters = self._configuration.ids
            self._choose()

    def _counted(self, voters: frozenset[int]) -> frozenset[int]:
        return voters - self._distrusted - self._twins if self._distrusted or self._twins else voters

    def tell_learned(self) -> None:
        """Tell the others what is chosen if no write is on its way that would tell them."""
        replica = self._here.replica
        if self._told < replica.learned_to == replica.end:
            self._told = replica.learned_to
            self._here.tell_all(Learned(self.proposal, self._told))

    def _count_heard(self, member: int, token: int) -> None:
        self._heard[member] = max(token, self._heard.get(member, 0))
        self.confirmed = max(self.confirmed, _shared_by(self._here.quorum, self._counted(self._voters), self._heard))

    def _resend(self, now: float, sender: str, stands: Behind | Heard) -> None:
        """Send what a member lacks, if it is here in memory. If not, it fetches what is learned and then asks again."""
        replica, recent = self._here.replica, self._here.replica.recent
        standing = (stands.last, stands.end if stands.last == self.proposal else stands.learned_to)
        when, before = self._resent.get(stands.member, (now, None))
        if before == standing and now < when + self._here.timing.resend_s:
            return
        base = self.proposal
        if stands.last == self.proposal:
            first = min(stands.end, recent.end)
        elif not self.elected and stands.last == self._opening.base and stands.end >= self._opening.first:
            base, first = self._opening.base, self._opening.first
        else:
            first = min(stands.learned_to, replica.learned_to)
        if first < recent.start:
            return
        self._resent[stands.member] = now, standing
        values = recent.piece(first, recent.end, PIECE_BYTES)
        if first + len(values) < self.opened_to:  # an opening is taken as a whole
            values = recent.slice(first, self.opened_to)
        if first + len(values) < recent.end:
            self._lacking[stands.member] = first + len(values)
        else:
            self._lacking.pop(stands.member, None)
        self._here.outbox.send((sender,), Write(self.proposal, base, first, values, replica.learned_to))


def _shared_by(quorum: int, voters: Collection[int], reached: Mapping[int, int]) -> int:
    """How far a quorum of the voters has come; 0 if too few have said anything."""
    ends = sorted((reached[voter] for voter in voters if voter in reached), reverse=True)
    return ends[quorum - 1] if len(ends) >= quorum else 0
