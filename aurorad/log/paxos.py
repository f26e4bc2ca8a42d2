"""A member of a replicated log, without clock, disk and network: what it is told, and what is to be done about it.

`docs/replicated-log.md` says how it works, and why nothing that was acknowledged is lost.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

from aurorad.log.candidate import Candidate, Need, Opening, Verdict
from aurorad.log.catching_up import CatchingUp
from aurorad.log.coordinator import Coordinator
from aurorad.log.follower import Follower
from aurorad.log.here import Here, Timing
from aurorad.log.initializing import Initializing
from aurorad.log.messages import (
    Accepted,
    Beat,
    Behind,
    Fetch,
    Fetched,
    Forgotten,
    Heard,
    Ignored,
    Learned,
    Message,
    Peer,
    Promise,
    Promised,
    Proposal,
    Rejected,
    Standing,
    Status,
    Stored,
    Truncate,
    Value,
    Write,
)
from aurorad.log.outbox import Outbox
from aurorad.log.output import (
    Chosen,
    Confirmed,
    Distrusted,
    Elected,
    ElectionFailed,
    Event,
    Lost,
    NotLeading,
    Output,
    Unfit,
)
from aurorad.log.replica import Replica

__all__ = [
    "USUAL",
    "Chosen",
    "Confirmed",
    "Distrusted",
    "Elected",
    "ElectionFailed",
    "Event",
    "Lost",
    "Member",
    "NotLeading",
    "Output",
    "Unfit",
]

USUAL = Timing()
_KNOWN_S = 1.0  # what is learned is written down with other things, or after this


class Member:
    """One member. Whoever drives it calls `take` after every other call, and does what that says."""

    def __init__(
        self,
        address: str,
        cluster: str,
        quorum: int,
        stored: Stored,
        rng: random.Random,
        *,
        timing: Timing = USUAL,
        initialize: bool = False,
    ) -> None:
        """`initialize`: a cluster of 2 * quorum - 1 empty members makes itself voting (storage sheet, C7)."""
        self._outbox = Outbox()
        self._replica = Replica(stored, quorum, self._outbox.write_down, lambda: rng.randrange(1, 1 << 63))
        self._here = Here(address, cluster, quorum, self._replica, self._outbox, rng, timing)
        self._catching_up = CatchingUp(self._here)
        self._follower = Follower(self._here, self._catching_up)
        self._initializing = Initializing(self._here, initialize)
        self._candidate: Candidate | None = None
        self._leader: Coordinator | None = None
        self._leads = False  # and the driver was told so
        self._reported = 0  # the last beat told to be confirmed
        self._known_at: float | None = None  # when to write down what is known to be chosen
        self._events: list[Event] = []

    # --- What it is ---

    @property
    def status(self) -> Status:
        return self._replica.status

    @property
    def member(self) -> int:
        """The id of this member's disk; what the hello says. It changes when the disk has to begin anew."""
        return self._replica.member

    @property
    def promised(self) -> Proposal:
        return self._replica.promised

    @property
    def last(self) -> Proposal:
        return self._replica.last

    @property
    def begin(self) -> int:
        return self._replica.begin

    @property
    def learned_to(self) -> int:
        return self._replica.learned_to

    @property
    def end(self) -> int:
        return self._replica.end

    @property
    def leads(self) -> bool:
        return self._leads

    @property
    def followed(self) -> tuple[str, Proposal] | None:
        """Who leads, as far as this member knows."""
        return self._follower.followed

    @property
    def room(self) -> bool:
        """Whether the disk has room for writes of others; the driver says so. Without it they are not taken."""
        return self._replica.room

    @room.setter
    def room(self, room: bool) -> None:
        self._replica.room = room

    @property
    def next_at(self) -> float:
        """When `tick` is due; it may change with every call. Infinity if never."""
        due = [self._initializing.next_at, self._catching_up.next_at, self._known_at]
        if self._leader is not None:
            due.append(self._leader.next_at)
        if self._candidate is not None:
            due.append(self._candidate.next_at)
        return min((at for at in due if at is not None), default=math.inf)

    def unfit(self) -> str | None:
        """Why this member could not lead now, in a sentence, as far as it can know; None if it may try."""
        if self.status is Status.EMPTY:
            return (
                "Its log is empty. If this is a new cluster, run `aurorad log initialize` on each of its members; if "
                "not, it will learn what the others know"
            )
        if self.status is not Status.VOTING:
            return f"It is {self.status.name}: it has to learn what the others know"
        if not self.room:
            return "Its disk has no room for the log"
        return self._here.objection(self._replica.configurations()[-1].configuration)

    # --- What it is asked ---

    def elect(self, now: float) -> None:
        """Try to lead: one of Elected, ElectionFailed, Unfit follows as an event, within `Timing.election_s`.

        Asked again meanwhile, the time begins anew.
        """
        assert not self._leads, "it leads already"
        if self._candidate is not None:
            self._candidate.deadline = now + self._here.timing.election_s
        elif (why := self.unfit()) is not None:
            self._events.append(Unfit(why))
        else:
            self._candidate = Candidate(self._here, now)
        self._settle(now)

    def append(self, now: float, values: Sequence[bytes], *, more: bool = False) -> int:
        """Write `values`; the position of the first. They are in the log once `Output.chosen` has them.

        `more` follow with the next call: nothing of the log's own is put between.

        Raises `NotLeading`.
        """
        first = self._leading().append(now, values, more=more)
        self._settle(now)
        return first

    def truncate(self, now: float, to: int) -> int:
        """Write that everything before `to` may be forgotten; the position of that. Raises `NotLeading`."""
        position = self._leading().append(now, [Truncate(to)])
        self._settle(now)
        return position

    def confirm(self, now: float) -> int:
        """Ask whether this member still leads: `Confirmed` with at least this token follows, or `Lost`.

        Raises `NotLeading`.
        """
        token = self._leading().confirm()
        self._settle(now)
        return token

    # --- What it is told ---

    def members(self, now: float, peers: Mapping[str, Peer | None]) -> None:
        """Who else is in the group, by address; None as long as nothing is heard from there. Call it at each change."""
        self._here.see(peers)
        if self._leader is not None:
            self._leader.see(now)
        self._settle(now)

    def tick(self, now: float) -> None:
        """Time has passed."""
        self._catching_up.tick(now)
        self._initializing.tick(now)
        if self._known_at is not None and now >= self._known_at:
            self._replica.write_known()
        if self._leader is not None and (why := self._leader.tick(now)) is not None:
            self._step_down(now, why, timed_out=True)
        if self._candidate is not None and (verdict := self._candidate.tick(now)) is not None:
            self._give_up(verdict)
        self._settle(now)

    def durable(self, now: float, ticket: int) -> None:
        """The records of this ticket and all earlier ones are on disk."""
        self._outbox.durable(ticket)
        self._replica.durable(ticket)
        self._settle(now)

    def receive(self, now: float, sender: str, message: Message) -> None:
        """A message came. It may be late, or come twice."""
        self._receive(now, sender, message)
        self._settle(now)

    def fetched(self, first: int, values: Sequence[Value]) -> Fetched:
        """The answer to one of `Output.fetches`: `values` lie in the journal from `first` on.

        None may be behind what the *journal* knew to be chosen when reading began: there it may hold an old tail still.
        """
        return self._follower.told(first, values)

    def take(self) -> Output:
        """What is to be done, once."""
        if self._outbox.writes:
            self._replica.write_known()
        ticket, records = self._outbox.take_records()
        if ticket:
            self._replica.taken(ticket)
        chosen = Chosen(*self._replica.deliver())
        if self._leader is not None and not self._leads and self._replica.delivered >= self._leader.opened_to:
            self._leads = True
            self._candidate = None
            self._events.append(Elected(self._leader.proposal, self._leader.opened_to))
        fetches = self._follower.take_fetches()
        events, self._events = self._events, []
        return Output(ticket, records, self._outbox.take_sendings(), fetches, chosen, events)

    # --- Within ---

    def _receive(self, now: float, sender: str, message: Message) -> None:
        replica, follower, outbox, to = self._replica, self._follower, self._outbox, (sender,)
        match message:
            case Write():
                outbox.hold(to, replica.write(message))
                follower.hear(now, sender, message.proposal, message.learned)
            case Accepted() if self._leader is not None:
                self._leader.accepted(now, sender, message)
            case Beat():
                follower.hear(now, sender, message.proposal, message.learned)
                follower.answer(sender, message)
            case Heard() if self._leader is not None:
                self._leader.heard(now, sender, message)
            case Learned():
                follower.hear(now, sender, message.proposal, message.to)
            case Behind() if self._leader is not None:
                self._leader.behind(now, sender, message)
            case Rejected():
                self._rejected(now, sender, message)
            case Promise():
                if (answer := replica.promise(message)) is not None:
                    outbox.hold(to, answer)
            case Promised() if self._candidate is not None:
                self._candidate.promised(sender, message)
            case Ignored() if self._candidate is not None:
                self._candidate.ignored(sender, message)
            case Fetch():
                follower.serve(sender, message.first)
            case Fetched():
                follower.fetched(now, sender, message)
            case Standing():
                self._initializing.standing(sender, message)
            case Forgotten() if message.member == replica.member and message.proposal >= replica.promised:
                outbox.forget_held()
                replica.begin_as_new()
                self._events.append(Distrusted(sender))
            case _:
                pass  # an answer to something that is over

    def _rejected(self, now: float, sender: str, message: Rejected) -> None:
        if self._leader is not None and self._leader.rejected(message):
            self._step_down(now, f"Exclusive write promise lost: {sender} has promised round {message.promised[0]}")
        if self._candidate is not None:
            self._candidate.rejected(now, message)

    def _step_down(self, now: float, why: str, *, timed_out: bool = False) -> None:
        """Leading is over; what was not told to lead yet tries again."""
        assert self._leader is not None
        lost, self._leader = self._leader, None
        if self._leads or self._candidate is None:
            self._leads = False
            self._events.append(Lost(why, timed_out))
        else:
            self._candidate.outbid(now, max(lost.proposal[0], self._replica.promised[0]))

    def _give_up(self, verdict: Verdict) -> None:
        self._leader = self._candidate = None
        self._events.append(Unfit(verdict.why) if verdict.refused else ElectionFailed(verdict.why))

    def _leading(self) -> Coordinator:
        if not self._leads or self._leader is None:
            raise NotLeading("This member does not lead")
        return self._leader

    def _settle(self, now: float) -> None:
        """What follows from what has just changed."""
        while released := self._outbox.released():
            for to, message in released:
                if to == (self._here.address,):
                    self._receive(now, self._here.address, message)
                else:
                    self._outbox.send(to, message)
        self._mind_higher(now)
        if self._candidate is not None and self._leader is None:
            self._stand(now, self._candidate)
        if self._leader is not None:
            self._leader.pending_beat(now)
            self._leader.tell_learned()
            if self._leads and self._reported < self._leader.confirmed:
                self._reported = self._leader.confirmed
                self._events.append(Confirmed(self._reported))
        if not self._replica.knows_more:
            self._known_at = None
        elif self._known_at is None:
            self._known_at = now + _KNOWN_S

    def _mind_higher(self, now: float) -> None:
        """This member's own replica may have promised to somebody else, or have begun as a new one."""
        replica = self._replica
        if self._leader is not None and (
            replica.promised > self._leader.proposal or replica.member != self._leader.proposal[1]
        ):
            self._step_down(now, f"Exclusive write promise lost: round {replica.promised[0]} is promised here")
        if self._candidate is not None:
            if self.status is not Status.VOTING:
                self._give_up(Verdict(f"It is {self.status.name}", refused=True))
            elif replica.promised > self._candidate.proposal:
                self._candidate.outbid(now, replica.promised[0])

    def _stand(self, now: float, candidate: Candidate) -> None:
        match candidate.opening():
            case Opening() as opening:
                self._leader = Coordinator(self._here, now, opening)
                self._reported = 0
            case Need(to, of):
                self._catching_up.need(now, to, of)
            case Verdict() as verdict:
                self._give_up(verdict)
            case None:
                pass
