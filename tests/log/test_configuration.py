from __future__ import annotations

import pytest

from aurorad.log.configuration import Peers, first_configuration, next_configuration, objection, twice, twins
from aurorad.log.messages import Configuration, Peer

A, B, C, D, E = 1, 2, 3, 4, 5


def recorded(quorum: int, *members: int) -> Configuration:
    return Configuration("c", quorum, tuple((member, "_abcde"[member]) for member in members))


def peers(quorum: int, *members: int) -> Peers:
    return {"_abcde"[member]: Peer(member, quorum) for member in members}


@pytest.mark.parametrize(
    ("quorum", "seen", "log", "expected"),
    [
        (2, peers(2, B, C), None, None),
        (2, peers(2, B, C), recorded(2, A, B, C), None),
        (2, {}, recorded(2, A, B, C), None),
        (1, {}, None, None),
        (2, {"b": None, "c": None}, recorded(2, A, B, C), None),
        (1, peers(1, B), None, "-native_log_quorum_size=1 is no majority of the 2 members seen: a, b"),
        (2, peers(2, B, C, D), recorded(2, A, B, C), "-native_log_quorum_size=2 is no majority of the 4 members seen"),
        (2, {"b": None, "c": None, "d": None}, None, "-native_log_quorum_size=2 is no majority of the 4 members seen"),
        (2, {**peers(2, B), "c": Peer(C, 3)}, None, "-native_log_quorum_size=2 here, but c runs with -native_log_qu"),
        (2, {**peers(2, B), "c": Peer(C, 3)}, recorded(2, A, B, C), None),  # c is wrong, not those who are right
        (3, {**peers(3, B), "c": Peer(C, 2)}, recorded(2, A, B, C), "-native_log_quorum_size=3 here, but c runs with"),
        (2, peers(2, B), recorded(2, B, C, D), "the log does not name this member as one who votes; it names b, c, d"),
        (2, peers(2, B), Configuration("x", 2, ((A, "a"),)), "the log is that of the cluster 'x', not of 'c'"),
        (2, peers(2, B), recorded(3, A, B, C, D, E), "-native_log_quorum_size=2, but the log says 3, and it can only"),
        (3, peers(3, B, C), recorded(2, A, B, C), None),  # the documented way from 3 to 5
        (
            3,
            {**peers(3, B), "c": None},
            recorded(2, A, B, C),
            "-native_log_quorum_size=3, but the log says 2, and noth",
        ),
        (3, peers(3, B), recorded(1, A), "-native_log_quorum_size=3, but the log says 1, and names only a so far"),
        (3, peers(3, B, C), recorded(2, A, B), "-native_log_quorum_size=3, but the log says 2, and names only a, b s"),
        (2, {"b": Peer(A, 2)}, None, "a and b have the same journal"),
    ],
)
def test_who_must_not_lead(quorum: int, seen: Peers, log: Configuration | None, expected: str | None) -> None:
    why = objection(Peer(A, quorum), "a", "c", seen, log)
    assert why is None if expected is None else why is not None and why.startswith(expected)


def test_a_quorum_too_far_from_the_recorded_one_is_refused() -> None:
    many = Configuration("c", 3, tuple((member, str(member)) for member in range(1, 9)))
    why = objection(Peer(1, 5), "1", "c", {}, many)
    assert why is not None
    assert "raise it by one" in why


def test_the_first_configuration_has_all_who_are_heard() -> None:
    seen: Peers = {"b": Peer(B, 2), "c": None, "d": Peer(0, 2)}
    assert first_configuration(Peer(A, 2), "a", "c", seen) == recorded(2, A, B)


@pytest.mark.parametrize(
    ("log", "seen", "gone", "expected"),
    [
        (recorded(2, A, B, C), peers(2, B, C), (), None),  # nothing to do
        (recorded(2, A, B, C), peers(2, B), (C,), None),  # nobody to take the place
        (recorded(2, A, B), peers(2, B, C), (), recorded(2, A, B, C)),  # a free seat
        (recorded(3, A, B, C), peers(3, B, C, D, E), (), recorded(3, A, B, C, D)),  # one at a time
        (recorded(3, A, B), {**peers(3, B), "c": Peer(C, 2)}, (), None),  # not with another quorum
        (recorded(2, A, B, C), peers(2, B, D), (), None),  # C may come back
        (recorded(2, A, B, C), peers(2, B, D), (C,), recorded(2, A, B, D)),
        (recorded(2, A, B, C), peers(2, B, C, D), (), None),  # no seat is free
        (recorded(2, A, B, C), {**peers(2, B), "c": Peer(0, 2)}, (C,), None),  # has no id yet
        (recorded(1, A), peers(1, B), (), None),
    ],
)
def test_the_next_step(log: Configuration, seen: Peers, gone: tuple[int, ...], expected: Configuration | None) -> None:
    assert next_configuration(log, Peer(A, log.quorum), "a", seen, gone) == expected


def test_a_new_disk_takes_the_seat_of_the_one_before_at_its_address() -> None:
    new = 9
    seen: Peers = {"b": Peer(B, 2), "c": Peer(new, 2)}
    expected = Configuration("c", 2, ((A, "a"), (B, "b"), (new, "c")))
    assert next_configuration(recorded(2, A, B, C), Peer(A, 2), "a", seen, ()) == expected
    seen = {"c": Peer(new, 2)}  # B is away just now: its seat is its own
    assert next_configuration(recorded(2, A, B, C), Peer(A, 2), "a", seen, (B,)) == expected


def test_a_member_that_moved_keeps_its_seat() -> None:
    seen: Peers = {"b": Peer(B, 2), "elsewhere": Peer(C, 2), "c": Peer(D, 2)}
    assert next_configuration(recorded(2, A, B, C), Peer(A, 2), "a", seen, ()) is None


def test_copies_of_a_journal_are_found() -> None:
    assert twins(Peer(A, 2), {"b": Peer(B, 2), "c": Peer(B, 2), "d": Peer(0, 2), "e": Peer(0, 2)}) == {B}
    assert twins(Peer(A, 2), {"b": Peer(A, 2), "c": None}) == {A}
    assert twice(Peer(A, 2), "a", peers(2, B, C)) == []
    assert twice(Peer(A, 2), "a", {"b": Peer(B, 2), "c": Peer(B, 2)}) == ["b", "c"]
    assert twice(Peer(A, 2), "a", {"b": Peer(0, 2), "c": Peer(0, 2)}) == []
