"""Who counts while the configuration changes: one member, told by hand what the others say."""

from __future__ import annotations

import random
from collections.abc import Sequence

from aurorad.log.messages import (
    NOBODY,
    Accepted,
    Configuration,
    Heard,
    Message,
    Nop,
    Peer,
    Placed,
    Promised,
    Proposal,
    Status,
    Stored,
    Value,
    Write,
)
from aurorad.log.paxos import Confirmed, Elected, ElectionFailed, Event, Member

A, B, C, D = 1, 2, 3, 4
NAMES = {A: "a", B: "b", C: "c", D: "d"}
BEFORE = Configuration("c", 2, ((A, "a"), (B, "b"), (C, "c")))
AFTER = Configuration("c", 2, ((A, "a"), (B, "b"), (D, "d")))
OLD: Proposal = (1, A)
NEW: Proposal = (2, A)


class Alone:
    """Member a, with a disk that is always done, and what it said and told."""

    def __init__(self, tail: Sequence[Value], *, learned: Configuration | None = BEFORE) -> None:
        stored = Stored(Status.VOTING, A, OLD, 0, 1, OLD, 1 + len(tail), tail, Placed(learned, 0))
        self.member = Member("a", "c", 2, stored, random.Random(1))
        self.said: list[Message] = []
        self.events: list[Event] = []
        self.now = 0.0
        self.see("b", "d")

    def see(self, *others: str) -> None:
        ids = {"b": B, "c": C, "d": D}
        self.member.members(self.now, {other: Peer(ids[other], 2) for other in others})
        self.work()

    def hear(self, *messages: Message) -> None:
        for message in messages:
            self.member.receive(self.now, NAMES.get(getattr(message, "member", 0), "?"), message)
            self.work()

    def elect(self) -> None:
        self.member.elect(self.now)
        self.work()

    def append(self) -> int:
        first = self.member.append(self.now, [b"x"])
        self.work()
        return first

    def tick(self) -> None:
        self.now = self.member.next_at
        self.member.tick(self.now)
        self.work()

    def work(self) -> None:
        while True:
            out = self.member.take()
            self.said += [sending.message for sending in out.sendings]
            self.events += out.events
            if not out.ticket:
                return
            self.member.durable(self.now, out.ticket)

    def written(self) -> list[Write]:
        return [message for message in self.said if isinstance(message, Write)]

    def is_elected(self) -> bool:
        return any(isinstance(event, Elected) for event in self.events)


def promised(member: int, end: int = 1, placed: Configuration = BEFORE) -> Promised:
    return Promised(member, NEW, 1, OLD, end, (), [Placed(placed, 0)])


def test_a_change_that_may_not_be_chosen_is_promised_by_those_whom_both_sides_name() -> None:
    one = Alone([AFTER])
    one.elect()
    one.hear(promised(D), promised(C))
    assert one.written() == []
    one.hear(promised(B))
    assert one.written() == [Write(NEW, OLD, 1, [AFTER, Nop()], 1)]


def test_whose_promise_does_not_count_is_told() -> None:
    one = Alone([AFTER])
    one.elect()
    one.hear(promised(C))
    while not any(isinstance(event, ElectionFailed) for event in one.events):
        one.tick()
    assert one.events == [ElectionFailed("no quorum of 2 promised: a did; c did, but has no vote now")]


def test_also_if_another_has_it() -> None:
    one = Alone([])
    one.elect()
    one.hear(Promised(D, NEW, 1, OLD, 2, [AFTER], [Placed(BEFORE, 0), Placed(AFTER, 1)]), promised(C))
    assert one.written() == []
    one.hear(promised(B))
    assert one.written() == [Write(NEW, OLD, 1, [AFTER, Nop()], 1)]


def test_and_written_by_them() -> None:
    one = Alone([AFTER])
    one.elect()
    one.hear(promised(B), Accepted(D, NEW, 3), Accepted(C, NEW, 3), Accepted(77, NEW, 3))
    assert not one.is_elected()
    one.hear(Accepted(B, NEW, 3))
    assert one.is_elected()


def test_once_it_is_chosen_the_new_one_counts_and_the_old_one_does_not() -> None:
    one = Alone([AFTER])
    one.elect()
    one.hear(promised(B), Accepted(B, NEW, 3))
    position = one.append()
    one.hear(Accepted(C, NEW, position + 1))
    assert one.member.learned_to == position
    one.hear(Accepted(D, NEW, position + 1))
    assert one.member.learned_to == position + 1


def test_a_change_known_to_be_chosen_to_one_who_answers_is_chosen() -> None:
    one = Alone([AFTER])
    one.elect()
    one.hear(Promised(D, NEW, 2, OLD, 2, (), [Placed(AFTER, 1)]))
    assert one.written() == [Write(NEW, OLD, 2, [Nop()], 2)]


def leading() -> Alone:
    """It leads, and b and c vote with it."""
    one = Alone([])
    one.see("b", "c")
    one.elect()
    one.hear(promised(B), Accepted(B, NEW, 2))
    assert one.is_elected()
    return one


def beaten(one: Alone, *members: int) -> None:
    """A beat, answered by these."""
    token = 0
    for message in one.said:
        token = max(token, getattr(message, "token", 0))
    one.hear(*(Heard(member, NEW, token, True, 2, NEW, one.member.end) for member in members))
    one.tick()


def test_who_leads_writes_a_change_when_one_was_gone_for_a_minute() -> None:
    one = leading()
    one.see("b", "d")
    while not any(AFTER in write.values for write in one.written()):
        assert one.now < 70
        beaten(one, B)
    assert one.now >= 60
    one.hear(Accepted(D, NEW, one.member.end))
    assert one.member.learned_to == one.member.end - 1
    one.hear(Accepted(B, NEW, one.member.end))
    assert one.member.learned_to == one.member.end


def test_no_change_is_written_that_nobody_could_choose() -> None:
    one = leading()
    one.see("b", "d")
    for _ in range(200):
        beaten(one, D)
    assert one.now > 90
    assert not any(AFTER in write.values for write in one.written())


def test_a_member_without_a_seat_confirms_nothing() -> None:
    one = leading()
    one.see("b", "d")
    token = one.member.confirm(one.now)
    one.work()
    one.hear(Heard(D, NEW, token, True, 2, NEW, 2))
    assert Confirmed(token) not in one.events
    one.hear(Heard(B, NEW, token, True, 2, NEW, 2))
    assert Confirmed(token) in one.events


def test_what_one_of_two_copies_says_does_not_count() -> None:
    one = leading()
    one.member.members(one.now, {"b": Peer(B, 2), "elsewhere": Peer(B, 2), "c": Peer(C, 2)})
    position = one.append()
    one.hear(Accepted(B, NEW, position + 1))
    assert one.member.learned_to == position
    one.hear(Accepted(C, NEW, position + 1))
    assert one.member.learned_to == position + 1


def test_the_first_leader_of_a_new_log_names_all_who_are_there() -> None:
    member = Member("a", "c", 2, Stored(Status.VOTING, A), random.Random(1))
    member.members(0.0, {"b": Peer(B, 2), "c": Peer(C, 2)})
    member.elect(0.0)
    member.durable(0.0, member.take().ticket)
    member.receive(0.0, "b", Promised(B, (1, A), 0, NOBODY, 0, (), [Placed()]))
    assert not any(isinstance(sending.message, Write) for sending in member.take().sendings)  # c may know of a log
    member.receive(0.0, "c", Promised(C, (1, A), 0, NOBODY, 0, (), [Placed()]))
    writes = [sending.message for sending in member.take().sendings if isinstance(sending.message, Write)]
    assert writes == [Write((1, A), NOBODY, 0, [BEFORE], 0)]


def test_no_new_log_is_begun_that_too_few_would_vote_in() -> None:
    """They promise, yet nothing is known of them."""
    member = Member("a", "c", 2, Stored(Status.VOTING, A), random.Random(1))
    member.members(0.0, {"b": None, "c": None})
    member.elect(0.0)
    member.durable(0.0, member.take().ticket)
    member.receive(0.0, "b", Promised(B, (1, A), 0, NOBODY, 0, (), [Placed()]))
    member.receive(0.0, "c", Promised(C, (1, A), 0, NOBODY, 0, (), [Placed()]))
    assert not any(isinstance(sending.message, Write) for sending in member.take().sendings)
    member.members(0.0, {"b": Peer(B, 2), "c": Peer(C, 2)})
    assert any(isinstance(sending.message, Write) for sending in member.take().sendings)


def test_no_change_is_begun_that_needs_a_disk_which_has_just_gone() -> None:
    """It was heard a moment ago; and the one whose seat would be taken may only have moved."""
    one = leading()
    beaten(one, B, C)
    one.member.members(one.now, {"b": Peer(D, 2)})
    one.work()
    beaten(one, D)
    assert not any(isinstance(value, Configuration) for write in one.written() for value in write.values)


def test_no_change_comes_between_what_is_written_in_pieces() -> None:
    one = leading()
    one.see("b", "d")
    while one.now < 58:
        beaten(one, B)
    first = one.member.append(one.now, [b"a piece"], more=True)
    one.hear(Accepted(B, NEW, first + 1))
    while one.now < 62:  # c has been away for long enough
        beaten(one, B)
    assert one.append() == first + 1
    one.hear(Accepted(B, NEW, first + 2))
    beaten(one, B)
    changes = [write.first for write in one.written() if isinstance(write.values[0], Configuration)]
    assert changes == [first + 2]
