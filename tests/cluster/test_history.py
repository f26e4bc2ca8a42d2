"""The judge itself: what it must let pass, and what it must not."""

from __future__ import annotations

from tests.cluster.history import ABSENT, Operation, is_linearizable, life, register


def op(what: str, value: object, began: float, ended: float | None) -> Operation:
    return Operation(what, value, began, ended)


def test_reads_while_a_write_goes_on_may_see_either_but_not_go_back() -> None:
    write = op("write", 1, 0, 10)
    assert is_linearizable([write, op("read", 0, 1, 2), op("read", 1, 3, 4)], register, 0)
    assert not is_linearizable([write, op("read", 1, 1, 2), op("read", 0, 3, 4)], register, 0)


def test_an_acknowledged_write_is_not_lost() -> None:
    assert not is_linearizable([op("write", 1, 0, 1), op("read", 0, 2, 3)], register, 0)
    assert is_linearizable([op("write", 1, 0, 1), op("write", 2, 0, 1), op("read", 1, 2, 3)], register, 0)


def test_what_is_unknown_may_happen_late_or_never_but_once() -> None:
    unknown = op("write", 1, 0, None)
    assert is_linearizable([unknown, op("read", 0, 2, 3)], register, 0)
    assert is_linearizable([unknown, op("read", 0, 2, 3), op("read", 1, 4, 5)], register, 0)
    back = [op("read", 1, 4, 5), op("write", 2, 6, 7), op("read", 1, 8, 9)]
    assert not is_linearizable([unknown, *back], register, 0)


def test_nobody_sees_what_nobody_wrote() -> None:
    assert not is_linearizable([op("read", 7, 0, 1)], register, 0)


def test_a_job_that_was_killed_does_not_live_again() -> None:
    created, killed = op("create", None, 0, 1), op("kill", None, 2, 3)
    assert is_linearizable([created, op("read", True, 2, 3), killed, op("read", False, 4, 5)], life, ABSENT)
    assert not is_linearizable([created, killed, op("read", True, 4, 5)], life, ABSENT)
    assert not is_linearizable([created, op("read", False, 2, 3)], life, ABSENT)
