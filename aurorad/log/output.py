"""What a member tells the one who drives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from aurorad.log.messages import Proposal, Record, Value
from aurorad.log.outbox import Sending


class Elected(NamedTuple):
    """This member leads; everything before `end` is chosen, and was handed out or lies in the journal."""

    proposal: Proposal
    end: int


class ElectionFailed(NamedTuple):
    """`elect` failed, and may be tried again."""

    why: str


class Unfit(NamedTuple):
    """`elect` found that this member must not lead: quorum or cluster contradict what others or the log say."""

    why: str


class Lost(NamedTuple):
    """Leading has ended for good. What was in flight may come to be chosen or not."""

    why: str
    timed_out: bool = False
    """No quorum answered in time; otherwise somebody else leads."""


class Confirmed(NamedTuple):
    """This member still led after `confirm` gave this token, or a lower one."""

    token: int


class Distrusted(NamedTuple):
    """The leader found that this member's disk is older than what it had confirmed: it begins anew, without a vote."""

    by: str


Event: TypeAlias = Elected | ElectionFailed | Unfit | Lost | Confirmed | Distrusted


class NotLeading(Exception):
    """This member does not lead (any more): nothing was written."""


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
    loop, no further than its `learned_to` before that, and send it `Member.fetched(first, values)`."""
    chosen: Chosen
    """Maybe without values."""
    events: Sequence[Event]
