from __future__ import annotations

import msgspec
import pytest

from aurorad.log.messages import (
    NOBODY,
    Accepted,
    Beat,
    Begin,
    Behind,
    Caught,
    Configuration,
    Dropped,
    Fetch,
    Fetched,
    Forgotten,
    Heard,
    Ignored,
    Known,
    Learned,
    Message,
    Metadata,
    Nop,
    Placed,
    Promise,
    Promised,
    Record,
    Rejected,
    Standing,
    Status,
    Truncate,
    Value,
    Write,
    Wrote,
)

BIG = (1 << 63) - 1
CONFIGURATION = Configuration("cluster", 2, ((1, "a:1"), (BIG, "b:1")))
VALUES: list[Value] = [b"", b"\xff" * 300, Nop(), Truncate(7), CONFIGURATION]
PLACED = Placed(CONFIGURATION, 9)

MESSAGES: list[Message] = [
    Promise((1, BIG), 2, NOBODY, 0),
    Promised(BIG, (1, 2), 3, (0, 0), 8, VALUES, [PLACED, Placed()]),
    Write((2, BIG), NOBODY, 1 << 60, VALUES, 5),
    Accepted(1, (2, 3), 9),
    Rejected(1, (2, 3), (3, 1)),
    Ignored(1, (2, 3), "why"),
    Behind(1, (2, 3), 4, (1, 1), 5),
    Learned((1, 2), 3),
    Beat((1, 2), 3, 4, 5),
    Heard(1, (1, 2), 3, True, 4, (1, 2), 5),
    Fetch(3),
    Fetched((1, 2), 0, 3, VALUES, Placed()),
    Standing(1, Status.EMPTY, asks=True),
    Forgotten((1, 2), 3),
]
RECORDS: list[Record] = [
    Metadata(Status.RECOVERING, BIG, (1, 2), PLACED),
    Wrote((1, 2), 3, VALUES),
    Caught(4, VALUES),
    Known(5),
    Begin(6),
    Dropped(),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_said_is_heard(message: Message) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Message) == message


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_what_is_written_down_is_read(record: Record) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record) == record


def test_every_kind_is_tried() -> None:
    assert {type(message) for message in MESSAGES} == set(Message.__args__)
    assert {type(record) for record in RECORDS} == set(Record.__args__)
