"""The latest changes, for readers of any speed."""

import pytest
import trio

from aurorad.api.tasks import AssignedTask, ScheduledTask
from aurorad.scheduler.feed import Feed, Position
from aurorad.storage.events import TaskChanged


def change(number: int) -> TaskChanged:
    return TaskChanged(None, ScheduledTask(AssignedTask(f"t{number}")))


def told(feed: Feed, number: int, at_most: int = 100) -> tuple[int, int, list[str]]:
    piece = feed.after(number, at_most)
    ids = [one.after.assigned_task.task_id for one in piece.changes if isinstance(one, TaskChanged) and one.after]
    return piece.missed, piece.first, ids


def test_a_reader_gets_what_follows_what_it_has() -> None:
    feed = Feed("r")
    for number in range(5):
        feed.changed(change(number))
    assert told(feed, 0) == (0, 0, ["t0", "t1", "t2", "t3", "t4"])
    assert told(feed, 3) == (0, 3, ["t3", "t4"])
    assert told(feed, 1, at_most=2) == (0, 1, ["t1", "t2"])
    assert told(feed, 5) == (0, 5, [])


@pytest.mark.parametrize("count", [3, 4, 5, 10, 11])
def test_who_is_too_slow_knows_how_much_it_missed(count: int) -> None:
    feed = Feed("r", kept=3)
    for number in range(count):
        feed.changed(change(number))
    kept = [f"t{number}" for number in range(count - 3, count)]
    assert told(feed, 0) == (count - 3, count - 3, kept)
    assert told(feed, count - 1) == (0, count - 1, kept[-1:])


async def test_readers_wait_for_what_is_not_there_yet() -> None:
    feed, seen = Feed("r"), []

    async def reader() -> None:
        await feed.grown(1)
        seen.append(feed.count)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reader)
        nursery.start_soon(reader)
        await trio.testing.wait_all_tasks_blocked()
        feed.changed(change(0))
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
        feed.changed(change(1))
    assert seen == [2, 2]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("18f-12", Position("18f", 12)),
        ("a-b-0", Position("a-b", 0)),
        ("18f", None),
        ("-", None),
        ("18f--1", None),
        ("18f-x", None),
        ("18f-" + "9" * 30, None),
    ],
)
def test_positions_are_read_as_they_were_written(text: str, position: Position | None) -> None:
    found = Position.read(text)
    assert found == position or (text == "18f--1" and found == Position("18f-", 1))
    assert found is None or str(found) == text
