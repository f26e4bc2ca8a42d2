"""The rules of a replica, one after the other: the design's, and those of storage sheet, C3 that still apply."""

from __future__ import annotations

import pytest

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
from aurorad.log.replica import Replica

ME = 7
P1, P2, P3 = (1, 1), (2, 2), (3, 3)


def values(text: str) -> list[Value]:
    return [letter.encode() for letter in text]


def replica(
    *, tail: str = "", learned_to: int = 0, last: Proposal = NOBODY, promised: Proposal = NOBODY, begin: int = 0
) -> tuple[Replica, list[Record]]:
    """A voting one, and what it writes down."""
    stored = Stored(Status.VOTING, ME, promised, begin, learned_to, last, learned_to + len(tail), values(tail))
    records: list[Record] = []
    return Replica(stored, 2, records.append, lambda: 99), records


def log(of: Replica) -> str:
    """What is in memory, learned or not."""
    return b"".join(value for value in of.recent.slice(of.recent.start, of.end) if isinstance(value, bytes)).decode()


def write(proposal: Proposal, first: int, text: str, learned: int = 0, base: Proposal | None = None) -> Write:
    return Write(proposal, proposal if base is None else base, first, values(text), learned)


# --- Promises ---


def test_a_promise_is_written_down_and_tells_the_tail() -> None:
    one, records = replica(tail="cd", learned_to=2, last=P1)
    assert one.promise(Promise(P2, 2, NOBODY, 0)) == Promised(ME, P2, 2, P1, 4, values("cd"), [Placed()])
    assert records == [Metadata(Status.VOTING, ME, P2)]


@pytest.mark.parametrize(("last", "end"), [(P1, 4), (P1, 5), (P2, 0)])
def test_the_tail_is_told_only_to_who_has_less(last: Proposal, end: int) -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P1)
    assert one.promise(Promise(P3, 2, last, end)) == Promised(ME, P3, 2, P1, 4, (), [Placed()])


def test_a_lower_promise_is_rejected() -> None:
    one, records = replica(promised=P2)
    assert one.promise(Promise(P1, 2, NOBODY, 0)) == Rejected(ME, P1, P2)
    assert records == []


def test_the_same_number_of_another_leader_is_another_promise() -> None:
    one, _ = replica(promised=(2, 2))
    assert isinstance(one.promise(Promise((2, 1), 2, NOBODY, 0)), Rejected)
    assert isinstance(one.promise(Promise((2, 3), 2, NOBODY, 0)), Promised)


def test_asked_again_the_same_is_promised_again() -> None:
    one, records = replica()
    first = one.promise(Promise(P1, 2, NOBODY, 0))
    assert one.promise(Promise(P1, 2, NOBODY, 0)) == first
    assert len(records) == 1


def test_a_promise_asked_for_by_who_leads_long_since_is_not_answered() -> None:
    one, _ = replica(last=P1)
    assert one.promise(Promise(P1, 2, NOBODY, 0)) is None


def test_nothing_is_promised_to_who_counts_another_quorum() -> None:
    one, records = replica()
    assert one.promise(Promise(P1, 3, NOBODY, 0)) == Ignored(ME, P1, "it has quorum 2, not 3")
    assert records == []


@pytest.mark.parametrize("status", [Status.EMPTY, Status.STARTING, Status.RECOVERING])
def test_who_does_not_vote_ignores_promises_and_writes(status: Status) -> None:
    one = Replica(Stored(status, ME), 2, lambda _: None, lambda: 99)
    assert one.promise(Promise(P1, 2, NOBODY, 0)) == Ignored(ME, P1, f"it is {status.name}")
    assert one.write(write(P1, 0, "a", base=NOBODY)) == Ignored(ME, P1, f"it is {status.name}")
    assert one.end == 0


def test_the_last_configuration_is_told_be_it_chosen_or_not() -> None:
    old, new = Configuration("c", 2, ((1, "a"),)), Configuration("c", 2, ((2, "b"),))
    stored = Stored(Status.VOTING, ME, P1, 0, 1, P1, 4, [b"x", new, b"y"], Placed(old, 0))
    answer = Replica(stored, 2, lambda _: None, lambda: 99).promise(Promise(P2, 2, NOBODY, 0))
    assert isinstance(answer, Promised)
    assert answer.placed == [Placed(old, 0), Placed(new, 2)]


# --- Writes ---


@pytest.mark.parametrize(
    ("write", "answer", "expected"),
    [
        # of the leader whose writes are here already
        (write(P2, 4, "ef"), Accepted(ME, P2, 6), "cdef"),
        (write(P2, 2, "cdef"), Accepted(ME, P2, 6), "cdef"),  # some of it again
        (write(P2, 2, "c"), Accepted(ME, P2, 4), "cd"),  # nothing new
        (write(P2, 0, "a"), Accepted(ME, P2, 4), "cd"),  # long since learned
        (write(P2, 5, "f"), Behind(ME, P2, 2, P2, 4), "cd"),  # would leave a hole
        # of a lower one
        (write(P1, 4, "e"), Rejected(ME, P1, P2), "cd"),
        (write(P1, 2, "xyz", base=NOBODY), Rejected(ME, P1, P2), "cd"),
        # of a higher one, whose opening was missed
        (write(P3, 4, "e"), Behind(ME, P3, 2, P2, 4), "cd"),
        (write(P3, 2, "x"), Accepted(ME, P3, 3), "x"),  # but all before is learned
        # openings
        (write(P3, 2, "x", base=P2), Accepted(ME, P3, 3), "x"),  # the tail ends with it
        (write(P3, 2, "xyz", base=NOBODY), Accepted(ME, P3, 5), "xyz"),
        (write(P3, 0, "abxyz", base=NOBODY), Accepted(ME, P3, 5), "xyz"),  # begins in what is learned
        (write(P3, 0, "a", base=NOBODY), Accepted(ME, P3, 2), ""),  # lies in what is learned
        (write(P3, 3, "x", base=P1), Behind(ME, P3, 2, P2, 4), "cd"),  # what lies before is not known to be chosen
        (write(P3, 3, "x", base=P2), Accepted(ME, P3, 4), "cx"),  # it is, by who wrote it
        (write(P3, 5, "x", base=P2), Behind(ME, P3, 2, P2, 4), "cd"),  # would leave a hole
        (write(P2, 2, "x", base=P1), Accepted(ME, P2, 4), "cd"),  # its own opening, once more
    ],
)
def test_what_is_taken(write: Write, answer: object, expected: str) -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P2)
    assert one.write(write) == answer
    assert log(one) == expected


def test_what_is_taken_is_written_down_without_what_is_there() -> None:
    one, records = replica(tail="cd", learned_to=2, last=P2)
    one.write(write(P2, 3, "de"))
    one.write(write(P3, 1, "bcx", base=P2))
    one.write(write(P3, 4, "y"))
    one.write(write(P3, 4, "y"))
    assert records == [Wrote(P2, 4, values("e")), Wrote(P3, 2, values("cx")), Wrote(P3, 4, values("y"))]


def test_taking_an_opening_is_a_promise() -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P1)
    one.write(write(P3, 2, "x", base=P1))
    assert (one.promised, one.last) == (P3, P3)
    assert one.promise(Promise(P2, 2, NOBODY, 0)) == Rejected(ME, P2, P3)


def test_a_write_is_taken_by_who_promised_it() -> None:
    one, _ = replica(promised=P2)
    assert isinstance(one.write(write(P2, 0, "a", base=NOBODY)), Accepted)


def test_a_write_tells_what_is_chosen() -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P2)
    one.write(write(P2, 4, "e", learned=4))
    assert one.learned_to == 4
    one.write(write(P2, 5, "f", learned=9))  # as far as it is here
    assert one.learned_to == 6


def test_what_an_opening_cannot_be_taken_for_is_not_learned_either() -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P1)
    one.write(write(P2, 6, "e", learned=6, base=NOBODY))
    assert one.learned_to == 2


def test_without_room_nothing_new_is_taken_but_of_oneself() -> None:
    one, records = replica(tail="cd", learned_to=2, last=P2)
    one.room = False
    assert one.write(write(P2, 4, "e")) == Ignored(ME, P2, "it has no room")
    assert one.write(write(P2, 3, "d")) == Accepted(ME, P2, 4)
    assert records == []
    assert one.write(write(P2, 4, "e"), mine=True) == Accepted(ME, P2, 5)


# --- Learning ---


def test_what_a_leader_says_is_believed_of_its_own_writes_only() -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P2)
    assert not one.believe(P3, 3)
    assert one.learned_to == 2
    assert one.believe(P2, 3)
    assert one.learned_to == 3
    assert not one.believe(P2, 9)
    assert one.learned_to == 4
    assert one.believe(P1, 1)  # long since


def test_what_is_learned_is_written_down_when_asked_for() -> None:
    one, records = replica(tail="cd", learned_to=2, last=P2)
    one.learn(4)
    assert one.knows_more
    one.write_known()
    one.write_known()
    assert records == [Known(4)]
    assert not one.knows_more


def test_a_learned_truncation_moves_the_beginning() -> None:
    records: list[Record] = []
    stored = Stored(Status.VOTING, ME, P1, 0, 2, P1, 5, [Truncate(1), b"x", Truncate(9)])
    one = Replica(stored, 2, records.append, lambda: 99)
    one.learn(4)
    assert one.begin == 1
    one.learn(5)
    assert one.begin == 4  # never beyond itself
    assert records == [Begin(1), Begin(4)]


def test_a_learned_configuration_is_kept_and_gives_a_seat() -> None:
    records: list[Record] = []
    stored = Stored(Status.RECOVERING, ME, NOBODY, 0, 1, NOBODY, 1)
    one = Replica(stored, 2, records.append, lambda: 99)
    others, with_me = Configuration("c", 2, ((1, "a"),)), Configuration("c", 2, ((1, "a"), (ME, "m")))
    one.caught(Fetched(NOBODY, 0, 1, [others, b"x"], Placed()))
    before = one.status
    one.caught(Fetched(NOBODY, 0, 3, [with_me], Placed()))
    assert (before, one.status) == (Status.RECOVERING, Status.VOTING)
    assert records[-1] == Metadata(Status.VOTING, ME, NOBODY, Placed(with_me, 3))


def test_caught_values_take_the_place_of_the_tail_and_leave_the_rest() -> None:
    one, records = replica(tail="cde", learned_to=2, last=P1)
    one.caught(Fetched(P1, 0, 1, values("bxy"), Placed()))
    assert (one.learned_to, one.end, log(one)) == (4, 5, "xye")
    assert records == [Caught(2, values("xy"))]
    one.caught(Fetched(P1, 0, 4, values("zzz"), Placed()))
    assert (one.learned_to, one.end) == (7, 7)
    assert one.last == P1


@pytest.mark.parametrize("first", [0, 3])
def test_caught_values_that_do_not_continue_what_is_learned_are_dropped(first: int) -> None:
    one, records = replica(tail="cde", learned_to=2, last=P1)
    one.caught(Fetched(P1, 0, first, values("ab"), Placed()))
    assert (one.learned_to, one.end, records) == (2, 5, [])


def test_who_learned_what_a_proposal_chose_takes_nothing_lower() -> None:
    one, records = replica(tail="cd", learned_to=2, last=P1)
    one.caught(Fetched(P3, 0, 2, values("x"), Placed()))
    assert records == [Metadata(Status.VOTING, ME, P3), Caught(2, values("x"))]
    assert one.write(write(P2, 3, "y", base=NOBODY)) == Rejected(ME, P2, P3)
    assert one.write(write(P1, 4, "y")) == Rejected(ME, P1, P3)


def test_a_member_whose_rest_was_forgotten_elsewhere_begins_anew_there() -> None:
    one, records = replica(tail="cd", learned_to=2, last=P1)
    configuration = Placed(Configuration("c", 2, ((ME, "m"),)), 30)
    one.caught(Fetched(P1, 50, 50, values("xy"), configuration))
    assert (one.begin, one.learned_to, one.end, one.delivered) == (50, 52, 52, 50)
    assert records == [Begin(50), Metadata(Status.VOTING, ME, P1, configuration), Caught(50, values("xy"))]


@pytest.mark.parametrize(("begin", "stands"), [(0, (0, 3, 5)), (2, (2, 3, 5)), (3, (3, 3, 5)), (9, (9, 9, 9))])
def test_a_member_without_room_forgets_what_others_have_and_takes_no_value(
    begin: int, stands: tuple[int, int, int]
) -> None:
    one, written = replica(tail="de", learned_to=3, last=P1)
    one.forgotten(Fetched(P1, begin, max(3, begin), values("xyz"), Placed()))
    assert (one.begin, one.learned_to, one.end) == stands
    assert written == [Begin(begin)] * (begin > 0)


def test_what_was_taken_behind_the_new_beginning_stays() -> None:
    one, _ = replica(tail="cdef", learned_to=2, last=P1)
    one.caught(Fetched(P1, 4, 4, (), Placed()))
    assert (one.begin, one.learned_to, one.end, log(one)) == (4, 4, 6, "ef")


# --- What is handed out ---


def handed_out(of: Replica) -> tuple[int, str]:
    first, chosen = of.deliver()
    return first, b"".join(value for value in chosen if isinstance(value, bytes)).decode()


def test_values_are_handed_out_once_learned_and_durable() -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P1)
    one.learn(3)
    assert handed_out(one) == (2, "c")
    one.write(write(P1, 4, "ef"))
    one.learn(6)
    one.taken(1)
    assert handed_out(one) == (3, "d")
    one.write(write(P1, 6, "g", learned=7))
    one.durable(1)
    assert handed_out(one) == (4, "ef")
    one.taken(2)
    one.durable(2)
    assert handed_out(one) == (6, "g")


def test_what_took_the_place_of_something_durable_is_not() -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P1)
    one.write(write(P1, 4, "e"))
    one.taken(1)
    one.write(write(P2, 2, "xyz", learned=2, base=P1))
    one.learn(5)
    one.durable(1)
    assert handed_out(one) == (2, "")
    one.taken(2)
    one.durable(2)
    assert handed_out(one) == (2, "xyz")


def test_what_was_caught_is_not_durable_before_it_is() -> None:
    one, _ = replica(tail="cde", learned_to=2, last=P1)
    one.caught(Fetched(P1, 0, 2, values("x"), Placed()))
    one.learn(5)
    assert handed_out(one) == (2, "")
    one.taken(1)
    one.durable(1)
    assert handed_out(one) == (2, "xde")


# --- Ids ---


def test_a_disk_without_an_id_gets_one_durably() -> None:
    records: list[Record] = []
    one = Replica(Stored(Status.VOTING, 0), 2, records.append, lambda: 99)
    assert one.member == 99
    assert records == [Metadata(Status.VOTING, 99, NOBODY)]


def test_a_member_that_begins_as_new_drops_what_it_took_and_promised() -> None:
    one, records = replica(tail="cd", learned_to=2, last=P1, promised=P2)
    one.learn(3)
    one.begin_as_new()
    assert (one.member, one.status, one.promised, one.last, one.end) == (99, Status.RECOVERING, NOBODY, NOBODY, 3)
    assert records == [Known(3), Dropped(), Metadata(Status.RECOVERING, 99, NOBODY)]


def test_nothing_is_learned_that_is_not_here() -> None:
    one, _ = replica(tail="cd", learned_to=2, last=P1)
    with pytest.raises(AssertionError):
        one.learn(5)
