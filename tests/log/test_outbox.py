from __future__ import annotations

import pytest

from aurorad.log.messages import Accepted, Fetch, Known, Rejected
from aurorad.log.outbox import Outbox, Sending


def test_what_is_held_waits_for_what_was_written_down_before() -> None:
    outbox = Outbox()
    outbox.write_down(Known(1))
    outbox.hold(("a",), Fetch(1))
    outbox.send(("b",), Fetch(2))
    assert outbox.take_sendings() == [Sending(("b",), Fetch(2))]
    assert outbox.take_records() == (1, [Known(1)])
    outbox.write_down(Known(2))
    outbox.hold(("a",), Fetch(3))
    assert outbox.take_records() == (2, [Known(2)])
    assert outbox.released() == []
    outbox.durable(1)
    assert outbox.released() == [Sending(("a",), Fetch(1))]
    outbox.durable(2)
    assert outbox.released() == [Sending(("a",), Fetch(3))]


def test_what_stands_on_nothing_new_leaves_at_once() -> None:
    outbox = Outbox()
    outbox.hold(("a",), Fetch(1))
    assert outbox.released() == [Sending(("a",), Fetch(1))]
    assert outbox.take_records() == (0, ())


@pytest.mark.parametrize("writes", [1, 3])
def test_however_long_the_disk_takes_nobody_is_told_the_same_more_than_once(writes: int) -> None:
    outbox = Outbox()
    ticket = 0
    for end in range(3000):
        if end % (3000 // writes) == 0:
            outbox.write_down(Known(end))
            ticket, _ = outbox.take_records()
        outbox.hold(("a",), Accepted(7, (1, 1), end))
        outbox.hold(("b",), Rejected(7, (1, end), (9, 9)))
        outbox.hold(("b",), Accepted(7, (1, 1), end))
    assert sum(len(sendings) for _, sendings in outbox._held) == 3 * writes
    outbox.durable(ticket)
    assert outbox.released() == [
        Sending(("a",), Accepted(7, (1, 1), 2999)),
        Sending(("b",), Rejected(7, (1, 2999), (9, 9))),
        Sending(("b",), Accepted(7, (1, 1), 2999)),
    ]


def test_what_can_be_told_is_not_held_for_what_waits_longer() -> None:
    outbox = Outbox()
    for end in range(3):
        outbox.write_down(Known(end))
        outbox.take_records()
        outbox.hold(("a",), Accepted(7, (1, 1), end))
    outbox.durable(1)
    assert outbox.released() == [Sending(("a",), Accepted(7, (1, 1), 0))]


def test_tickets_that_come_back_late_change_nothing() -> None:
    outbox = Outbox()
    for _ in range(2):
        outbox.write_down(Known(1))
        outbox.take_records()
    outbox.durable(2)
    outbox.durable(1)
    outbox.hold(("a",), Fetch(1))
    assert outbox.released() == [Sending(("a",), Fetch(1))]
