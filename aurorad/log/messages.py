"""What a replicated log holds, what its members say to each other, and what each of them writes down.

All of it are immutable msgpack values; `docs/replicated-log.md` tells what they are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import msgspec

Proposal: TypeAlias = tuple[int, int]
"""Who writes: a round, and the id of the member that leads it. A higher one takes the place of a lower one."""

NOBODY: Proposal = (0, 0)
"""Lower than every proposal."""


class Status(IntEnum):
    """What a member is to the others (storage sheet, C2)."""

    VOTING = 1
    RECOVERING = 2
    """Learns what the log holds, and votes once the log names it as a member."""
    STARTING = 3
    """One of a new cluster that initializes itself: not all are known to have left EMPTY."""
    EMPTY = 4
    """Knows nothing yet of any log."""


# --- What lies at a position ---------------------------------------------------------------------------------------


class Nop(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="nop"):
    """Nothing, where a leader began."""


class Truncate(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="truncate"):
    """Everything before the position `to` may be forgotten."""

    to: int


class Configuration(msgspec.Struct, frozen=True, array_like=True, tag="configuration"):
    """Who votes from here on: never more than 2 * quorum - 1 members, so any two quorums share one."""

    cluster: str
    quorum: int
    members: tuple[tuple[int, str], ...]
    """Ids, ascending, and the address each had when this was written (for people)."""

    @property
    def ids(self) -> frozenset[int]:
        return frozenset(member for member, _ in self.members)


Value: TypeAlias = bytes | Nop | Truncate | Configuration
"""An entry of the log's user, or one of the log's own."""


class Placed(NamedTuple):
    """The last configuration in a log, and where it lies; (None, -1) if there is none."""

    configuration: Configuration | None = None
    position: int = -1


# --- What members say ----------------------------------------------------------------------------------------------
# `member` is the id of the one who speaks: a disk, not an address. What counts for a quorum is counted by it.


class Promise(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Asks for the promise to take no write of a proposal below this one. `last` and `end` are the asker's own."""

    proposal: Proposal
    quorum: int
    last: Proposal
    end: int


class Promised(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """It is promised. What this member has: all below `learned_to` is chosen; then the tail, of the proposal `last`."""

    member: int
    proposal: Proposal
    learned_to: int
    last: Proposal
    end: int
    tail: Sequence[Value]
    """The values from `learned_to` to `end` if (last, end) is above the asker's, else nothing."""
    placed: Sequence[Placed]
    """The last configuration that this member has learned, and all that its tail has."""


class Write(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The log of the proposal has `values` at `first` and behind it. Below `learned` all is chosen.

    The first write of a leader, its opening, tells all that it took over: below `first` all is chosen, and the log of
    the proposal `base` holds the same.
    """

    proposal: Proposal
    base: Proposal
    first: int
    values: Sequence[Value]
    learned: int


class Accepted(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=4):
    """All positions below `end` are durable with this member as the proposal wrote them, or chosen."""

    member: int
    proposal: Proposal
    end: int


class Rejected(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=5):
    """Promised to a higher one."""

    member: int
    proposal: Proposal
    promised: Proposal


class Ignored(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=6):
    """This member cannot vote for now. `why` is for people."""

    member: int
    proposal: Proposal
    why: str


class Behind(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=7):
    """The write would leave a hole: this is where the member stands."""

    member: int
    proposal: Proposal
    learned_to: int
    last: Proposal
    end: int


class Learned(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=8):
    """All positions below `to` are chosen, as the proposal wrote them."""

    proposal: Proposal
    to: int


class Beat(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=9):
    """A leader lives, and asks whether it still leads. Also says what `Learned` says."""

    proposal: Proposal
    token: int
    learned: int
    end: int


class Heard(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=10):
    """The answer to a beat: nothing higher is promised; where the member stands (not what is durable)."""

    member: int
    proposal: Proposal
    token: int
    voting: bool
    learned_to: int
    last: Proposal
    end: int


class Fetch(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=11):
    """Asks for learned values from `first` on."""

    first: int


class Fetched(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Learned values from `first` on, at most about 1 MB. What lies before `begin` is forgotten.

    Who takes them promises what the one who answers has promised: whoever has learned what a proposal chose takes no
    write of a lower one.
    """

    promised: Proposal
    begin: int
    first: int
    values: Sequence[Value]
    placed: Placed
    """The last configuration that the one who answers has learned."""


class Standing(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=13):
    """What the speaker is, told by who does not vote yet to all. `asks` wants the same told back."""

    member: int
    status: Status
    asks: bool


class Forgotten(msgspec.Struct, frozen=True, gc=False, array_like=True, tag=14):
    """A leader tells `member` that it had said more than it knows now: its disk is older than its word."""

    proposal: Proposal
    member: int


Message: TypeAlias = (
    Promise
    | Promised
    | Write
    | Accepted
    | Rejected
    | Ignored
    | Behind
    | Learned
    | Beat
    | Heard
    | Fetch
    | Fetched
    | Standing
    | Forgotten
)


# --- What a member writes down, in this order ----------------------------------------------------------------------


class Metadata(msgspec.Struct, frozen=True, array_like=True, tag="metadata"):
    """The last one counts. `member` 0: not drawn yet (a new disk, or one that may have forgotten a promise).

    `log initialize` writes Metadata(VOTING, 0, NOBODY). A damaged journal is opened as RECOVERING with member 0.
    """

    status: Status
    member: int
    promised: Proposal
    placed: Placed = Placed()
    """The last configuration that was learned, which may be truncated by now."""


class Wrote(msgspec.Struct, frozen=True, array_like=True, tag="wrote"):
    """The log is cut off at `first` (if it went on there) and `values` follow: afterwards end = first + len(values).

    first <= end always. From here on `last` is `proposal`, and `promised` at least that.
    """

    proposal: Proposal
    first: int
    values: Sequence[Value]


class Caught(msgspec.Struct, frozen=True, array_like=True, tag="caught"):
    """Learned from another member: `values` take the place of what lies at `first` and behind it, if anything does.

    Nothing is cut off: afterwards learned_to = first + len(values), end = max(end, learned_to). first <= end always.
    `last` and `promised` stay as they are.
    """

    first: int
    values: Sequence[Value]


class Known(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="known"):
    """All positions below `to` are chosen (never taken back, never above end)."""

    to: int


class Begin(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="begin"):
    """What lies before `begin` is forgotten: afterwards learned_to and end are at least `begin`.

    Written when a truncation was learned, and by a member so far behind that others have forgotten what it lacks: then
    begin is above its end, and the log goes on there.
    """

    begin: int


class Dropped(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="dropped"):
    """The tail behind what is learned is dropped: afterwards end = learned_to, last = NOBODY (see `Forgotten`)."""


Record: TypeAlias = Metadata | Wrote | Caught | Known | Begin | Dropped


class Stored(NamedTuple):
    """What a journal knows when it is opened: what a member was when it last wrote."""

    status: Status = Status.EMPTY
    member: int = 0
    promised: Proposal = NOBODY
    begin: int = 0
    learned_to: int = 0
    last: Proposal = NOBODY
    """The proposal of the last `Wrote`."""
    end: int = 0
    tail: Sequence[Value] = ()
    """The values from learned_to to end."""
    placed: Placed = Placed()


class Peer(NamedTuple):
    """What another member says of itself when it connects."""

    member: int
    """Its id, 0 if it has none yet."""
    quorum: int
