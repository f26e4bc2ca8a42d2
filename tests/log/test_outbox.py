from __future__ import annotations

from aurorad.log.messages import Accepted, Fetch, Known
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


def test_of_many_acceptances_of_one_leader_the_last_is_told() -> None:
    outbox = Outbox()
    outbox.write_down(Known(1))
    for end in (3, 4, 5):
        outbox.hold(("a",), Accepted(7, (1, 1), end))
    outbox.hold(("a",), Accepted(7, (2, 1), 5))
    outbox.hold(("b",), Accepted(7, (2, 1), 5))
    ticket, _ = outbox.take_records()
    outbox.durable(ticket)
    assert outbox.released() == [
        Sending(("a",), Accepted(7, (1, 1), 5)),
        Sending(("a",), Accepted(7, (2, 1), 5)),
        Sending(("b",), Accepted(7, (2, 1), 5)),
    ]


def test_tickets_that_come_back_late_change_nothing() -> None:
    outbox = Outbox()
    for _ in range(2):
        outbox.write_down(Known(1))
        outbox.take_records()
    outbox.durable(2)
    outbox.durable(1)
    outbox.hold(("a",), Fetch(1))
    assert outbox.released() == [Sending(("a",), Fetch(1))]
