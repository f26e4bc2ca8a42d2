from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from aurorad.log import scribe
from aurorad.log.errors import LogFull
from aurorad.log.journal import HEADROOM, cost
from aurorad.log.messages import Known, Nop, Record, Truncate, Value, Wrote
from aurorad.log.scribe import USUAL_ROOM, Scribe


class SlowJournal:
    """Remembers what was appended together; full, broken or slow as told."""

    def __init__(self) -> None:
        self.appended: list[Sequence[Record]] = []
        self.room = 64 << 20
        self.free = 1 << 40
        """What can be made into room."""
        self.is_full = False
        self.failure: OSError | None = None
        self.go = threading.Event()
        self.go.set()
        self.is_open = True

    def append(self, records: Sequence[Record]) -> None:
        self.go.wait()
        if self.is_full:
            raise LogFull("no space left")
        if self.failure is not None:
            raise self.failure
        self.appended.append(list(records))

    def reserve(self, size: int, keep: int) -> None:
        if self.room < size + keep:
            if self.free < size + keep:
                raise LogFull("no space left")
            self.room = size + keep

    def close(self) -> None:
        self.is_open = False


class Story:
    def __init__(self) -> None:
        self.journal = SlowJournal()
        self.scribe = Scribe(self.journal)  # type: ignore[arg-type]  # all of a journal that it uses
        self.durable: list[int] = []
        self.told = trio.Event()

    def done(self, ticket: int) -> None:
        self.durable.append(ticket)
        self.told.set()
        self.told = trio.Event()

    async def until(self, ticket: int) -> None:
        while ticket not in self.durable:
            await self.told.wait()


@pytest.fixture
async def story(nursery: trio.Nursery) -> Story:
    story = Story()
    nursery.start_soon(story.scribe.run, story.done, lambda: None)
    return story


async def test_what_comes_while_the_disk_is_busy_is_written_at_once(story: Story) -> None:
    story.journal.go.clear()
    story.scribe.add(1, [Known(1)])
    await wait_all_tasks_blocked()
    for ticket in (2, 3, 4):
        story.scribe.add(ticket, [Known(ticket)])
    assert story.durable == []
    story.journal.go.set()
    await story.until(4)
    assert story.durable == [1, 4]
    assert story.journal.appended == [[Known(1)], [Known(2), Known(3), Known(4)]]
    assert story.scribe.backlog == 0


async def test_a_batch_is_no_larger_than_is_good(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "_BATCH_BYTES", 100_000)
    story.journal.go.clear()
    for ticket in range(1, 6):
        story.scribe.add(ticket, [Wrote((1, 1), ticket, [bytes(40_000)])])
    story.journal.go.set()
    await story.until(5)
    assert [len(batch) for batch in story.journal.appended] == [3, 2]
    assert story.durable == [3, 5]


async def test_without_room_it_tries_on_and_says_so(story: Story, autojump_clock: MockClock) -> None:
    story.journal.is_full = True
    story.scribe.add(1, [Known(1)])
    while not story.scribe.is_stuck:  # noqa: ASYNC110  # a thread brings it about
        await trio.sleep(1)
    await trio.sleep(10)
    assert (story.scribe.is_stuck, story.durable) == (True, [])
    story.journal.is_full = False
    await story.until(1)
    assert (story.scribe.is_stuck, story.journal.appended) == (False, [[Known(1)]])


async def test_room_that_is_there_again_is_found_though_nobody_writes(
    story: Story, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    story.journal.room, story.journal.free = HEADROOM, 0
    story.scribe.add(1, [Known(1)])
    await story.until(1)
    while not caplog.messages:  # noqa: ASYNC110  # a thread brings it about
        await trio.sleep(1)
    await trio.sleep(60)
    assert not story.scribe.has_room(1)
    assert len(caplog.messages) == 1, "it is said once"
    story.journal.free = 1 << 30
    while not story.scribe.has_room(USUAL_ROOM.low_water):  # noqa: ASYNC110  # a thread brings it about
        await trio.sleep(1)


async def test_room_is_refused_or_made_before_anything_is_added(story: Story) -> None:
    story.journal.room, story.journal.free = HEADROOM + USUAL_ROOM.low_water, 100 << 20
    await story.scribe.make_room(50 << 20)
    assert story.scribe.has_room(50 << 20)
    with pytest.raises(LogFull):
        await story.scribe.make_room(200 << 20)
    assert story.journal.appended == []


async def test_what_waits_counts_for_the_room_that_is_left(story: Story) -> None:
    story.journal.room = HEADROOM + (10 << 20)
    story.journal.free = 0
    story.journal.go.clear()
    assert story.scribe.has_room(9 << 20)
    story.scribe.add(1, [Wrote((1, 1), 0, [bytes(2 << 20)])])
    assert not story.scribe.has_room(9 << 20)
    story.journal.go.set()
    await story.until(1)


async def test_who_brings_too_much_waits(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribe, "MAX_BACKLOG", 50_000)
    story.journal.go.clear()
    story.scribe.add(1, [Wrote((1, 1), 0, [bytes(100_000)])])
    kept_up = trio.Event()

    async def bring() -> None:
        await story.scribe.keep_up()
        kept_up.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bring)
        await wait_all_tasks_blocked()
        assert not kept_up.is_set()
        story.journal.go.set()
    assert kept_up.is_set()


async def test_an_error_of_the_disk_ends_it_and_nothing_is_said_to_be_durable() -> None:
    story = Story()
    story.journal.failure = OSError(5, "Input/output error")
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="Input/output error"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(story.scribe.run, story.done, lambda: None)
            story.scribe.add(1, [Known(1)])
    assert story.durable == []
    await story.scribe.close()
    assert not story.journal.is_open


_VALUES = st.one_of(st.binary(max_size=70_000), st.just(Nop()), st.builds(Truncate, st.integers(0, 1 << 62)))


@given(st.lists(_VALUES, max_size=50))
def test_what_is_reckoned_is_never_less_than_what_lies_on_disk(values: list[Value]) -> None:
    record = Wrote((1 << 62, 1 << 62), 1 << 62, values)
    assert cost([record]) <= scribe._cost(record)
