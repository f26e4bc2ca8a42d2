"""A member of a replicated log, without clock, disk and network: what it is told, and what is to be done about it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from aurorad.log.messages import Fetched, Message, Peer, Proposal, Record, Status, Stored, Value


class Timing(NamedTuple):
    """Seconds."""

    beat_s: float = 0.5
    write_s: float = 3.0
    """A write that no quorum took by then is the end of leading."""
    election_s: float = 15.0
    """One `elect` tries for so long."""
    fetch_s: float = 2.0
    """A fetch that is not answered by then is asked again, of another member."""


USUAL = Timing()


class Elected(NamedTuple):
    """This member leads; everything before `end` is chosen and learned here."""

    proposal: Proposal
    end: int


class NotElected(NamedTuple):
    """`elect` failed, and may be tried again."""

    why: str


class Refused(NamedTuple):
    """`elect` found that this member must not lead: quorum or cluster contradict what others or the log say."""

    why: str


class Lost(NamedTuple):
    """Leading has ended for good. What was in flight may come to be chosen or not."""

    why: str


class Confirmed(NamedTuple):
    """This member still led after `confirm` gave this token, and all before it."""

    token: int


Event: TypeAlias = Elected | NotElected | Refused | Lost | Confirmed


class NotLeading(Exception):
    """This member does not lead (any more): nothing was written."""


class Sending(NamedTuple):
    """A message, and the addresses it goes to. All may leave at once: what must wait for the disk is not in it yet."""

    to: tuple[str, ...]
    message: Message


class Chosen(NamedTuple):
    """Learned values from `first` on, durable here: for whoever applies them. Each position comes once, in order.

    A gap before `first` means that the log begins anew there (truncated elsewhere while this member was away).
    """

    first: int
    values: Sequence[Value]


class Output(NamedTuple):
    """What is to be done, in any order, or at the same time."""

    ticket: int
    """To be told to `durable` once `records`, and those of all earlier tickets, are on disk: only then do the messages
    that stand on them come out of `take`. 0 if there are no records."""
    records: Sequence[Record]
    sendings: Sequence[Sending]
    fetches: Sequence[tuple[str, int]]
    """Who asked for learned values from where on: read about 1 MB from the journal (from max(where, begin) on), off the
    loop, and send `Member.fetched(first, values)`."""
    chosen: Sequence[Chosen]
    events: Sequence[Event]


class Member:
    """One member. Whoever drives it calls `take` after every other call, and does what that says."""

    status: Status
    member: int
    """The id of this member's disk; what the hello says. It changes when the disk has to begin anew."""
    promised: Proposal
    last: Proposal
    begin: int
    learned_to: int
    end: int
    leads: bool
    room: bool
    """Whether the disk has room for writes of others; the driver says so. Without it they are not taken."""
    next_at: float
    """When `tick` is due; it may change with every call."""

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
        raise NotImplementedError

    def receive(self, now: float, sender: str, message: Message) -> None:
        """A message came. It may be late, or come twice."""
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Time has passed."""
        raise NotImplementedError

    def members(self, now: float, peers: Mapping[str, Peer | None]) -> None:
        """Who else is in the group, by address; None as long as nothing is heard from there. Call it at each change."""
        raise NotImplementedError

    def unfit(self) -> str | None:
        """Why this member could not lead now, in a sentence, as far as it can know; None if it may try."""
        raise NotImplementedError

    def elect(self, now: float) -> None:
        """Try to lead: one of Elected, NotElected, Refused follows as an event, within `Timing.election_s`."""
        raise NotImplementedError

    def append(self, now: float, values: Sequence[bytes]) -> int:
        """Write `values`; the position of the first. They are in the log once `Output.chosen` has them.

        Raises `NotLeading`.
        """
        raise NotImplementedError

    def truncate(self, now: float, to: int) -> int:
        """Write that everything before `to` may be forgotten; the position of that. Raises `NotLeading`."""
        raise NotImplementedError

    def confirm(self, now: float) -> int:
        """Ask whether this member still leads: `Confirmed` with at least this token follows, or `Lost`.

        Raises `NotLeading`.
        """
        raise NotImplementedError

    def durable(self, now: float, ticket: int) -> None:
        """The records of this ticket and all earlier ones are on disk."""
        raise NotImplementedError

    def fetched(self, first: int, values: Sequence[Value]) -> Fetched:
        """The answer to one of `Output.fetches`: `values` lie in the journal from `first` on."""
        raise NotImplementedError

    def take(self) -> Output:
        """What is to be done, once."""
        raise NotImplementedError
