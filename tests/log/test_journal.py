from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurorad.log import walk
from aurorad.log.disk import Folder
from aurorad.log.errors import LogDamaged, LogFull, LogNotEmpty, LogUnknown
from aurorad.log.journal import Journal, cost, initialize
from aurorad.log.messages import NOBODY, Begin, Caught, Configuration, Known, Metadata, Placed, Status, Stored, Wrote
from aurorad.log.walk import name_of
from tests.log.fake_disk import Down, FakeDisk
from tests.log.journals import (
    A_SECTOR,
    LEADER,
    SMALL,
    VOTING,
    Model,
    Step,
    assert_knows,
    entry,
    fill,
    filled,
    journal_on,
    record_of,
    steps,
    values_of,
)
from tests.log.small_disk import small_disk


def test_an_empty_folder_gets_the_journal_of_an_empty_member() -> None:
    disk = FakeDisk()
    journal = journal_on(disk)
    assert journal.stored == Stored()
    assert (journal.begin, journal.learned_to, journal.end) == (0, 0, 0)
    assert journal.read(0, 100) == []
    journal.close()
    assert journal_on(disk).stored == Stored()


def test_what_was_appended_is_there_after_opening_again() -> None:
    disk, journal = filled(30)
    values = values_of(journal)
    assert list(values) == list(range(30))
    again = journal_on(disk)
    assert values_of(again) == values
    assert again.stored == Stored(Status.VOTING, 11, LEADER, 0, 29, LEADER, 30, (values[29],))


def test_one_append_is_one_sync() -> None:
    disk = FakeDisk()
    journal = journal_on(disk)
    before = disk.syncs
    journal.append([VOTING, Wrote(LEADER, 0, [b"x"] * 50), Known(50)])
    assert disk.syncs == before + 1


def test_reading_begins_anywhere_and_takes_about_what_was_asked_for() -> None:
    journal = journal_on(FakeDisk())
    journal.append([Wrote(LEADER, 0, [b"a" * 10, b"b" * 10]), Wrote(LEADER, 2, [b"c" * 10, b"d" * 10])])
    assert journal.read(1, 20) == [b"b" * 10, b"c" * 10]
    assert journal.read(1, 21) == [b"b" * 10, b"c" * 10, b"d" * 10]
    assert journal.read(3, 1) == [b"d" * 10]
    assert journal.read(4, 1) == []
    for nowhere in (-1, 5):
        with pytest.raises(LookupError):
            journal.read(nowhere, 1)


def test_an_entry_larger_than_a_file_gets_a_larger_file() -> None:
    disk = FakeDisk()
    journal = journal_on(disk)
    large = random.Random(1).randbytes(5 * SMALL)
    journal.append([Wrote(LEADER, 0, [b"before"])])
    journal.append([Wrote(LEADER, 1, [large])])
    journal.append([Wrote(LEADER, 2, [b"behind"])])
    assert values_of(journal_on(disk)) == {0: b"before", 1: large, 2: b"behind"}


def test_a_record_that_cannot_follow_is_refused_and_nothing_is_written() -> None:
    disk, journal = filled(3)
    for record in (Wrote(LEADER, 4, [b"hole"]), Known(4), Caught(5, [b"hole"]), Wrote(LEADER, 0, [b"learned"])):
        with pytest.raises(ValueError, match=f"^{type(record).__name__} cannot follow "):
            journal.append([Metadata(Status.EMPTY, 0, NOBODY), record])
    journal.append([Known(3)])
    assert journal_on(disk).stored == Stored(Status.VOTING, 11, LEADER, 0, 3, LEADER, 3, ())


def test_files_that_nobody_needs_are_removed_and_what_they_told_is_not_forgotten() -> None:
    disk = FakeDisk()
    journal = journal_on(disk)
    placed = Placed(Configuration("c", 2, ((11, "a:1"),)), 0)
    journal.append([Metadata(Status.VOTING, 11, LEADER, placed)])
    fill(journal, 40)
    before = len(disk.files)
    journal.append([Begin(30)])
    assert len(disk.files) < before
    assert name_of(0) not in disk.files
    assert list(values_of(journal)) == list(range(30, 40))
    with pytest.raises(LookupError):
        journal.read(29, 1)
    again = journal_on(disk)
    assert again.stored == Stored(Status.VOTING, 11, LEADER, 30, 39, LEADER, 40, (entry(39),), placed)
    assert values_of(again) == values_of(journal)


def test_a_member_far_behind_goes_on_at_another_position() -> None:
    disk, journal = filled(30)
    journal.append([Begin(1000)])
    assert values_of(journal) == {}
    journal.append([Caught(1000, [b"there"])])
    again = journal_on(disk)
    assert again.stored == Stored(Status.VOTING, 11, LEADER, 1000, 1001, LEADER, 1001, ())
    assert values_of(again) == {1000: b"there"}


def test_old_files_that_a_crash_left_are_removed_by_opening() -> None:
    disk, journal = filled(30)
    files = len(disk.files)
    disk.steps_left = 2  # the write and its sync
    with pytest.raises(Down):
        journal.append([Begin(29)])
    disk = disk.after_process_crash()
    assert len(disk.files) == files
    again = journal_on(disk)
    assert again.begin == 29
    assert len(disk.files) < files


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.lists(steps, min_size=1, max_size=4), st.just("open")), max_size=40))
def test_a_journal_knows_what_its_records_mean(todo: list[Sequence[Step] | str]) -> None:
    disk, model = FakeDisk(), Model()
    journal = journal_on(disk)
    for number, some in enumerate(todo, 1):
        if isinstance(some, str):
            journal = journal_on(disk)
            assert_knows(journal, model)
            continue
        records = []
        for step in some:
            records.append(record_of(step, model, number))
            model.apply(records[-1])
        size = journal.size
        journal.append(records)
        assert journal.size <= size + cost(records) + 3 * A_SECTOR
        assert (journal.begin, journal.learned_to, journal.end) == (model.begin, model.learned_to, model.end)
        assert values_of(journal) == model.values
    assert_knows(journal_on(disk), model)


@pytest.mark.parametrize("sector", [A_SECTOR, 8 * A_SECTOR, 64])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(
    todo=st.lists(st.lists(steps, min_size=1, max_size=3), min_size=1, max_size=15),
    crashes=st.lists(st.tuples(st.integers(0, 60), st.booleans()), min_size=1, max_size=4),
    seed=st.integers(0, 1 << 32),
)
def test_whatever_goes_down_nothing_that_was_synced_is_lost(
    sector: int, todo: list[list[Step]], crashes: list[tuple[int, bool]], seed: int
) -> None:
    """A disk whose sectors are smaller than ours leaves what looks like damage, never what looks well and is not."""
    disk, model, number = FakeDisk(random.Random(seed), sector=sector), Model(), 0
    for steps_left, power in crashes:
        before = model.copy()
        disk.steps_left = steps_left
        try:
            journal = journal_on(disk)
            for some in todo:
                number += 1
                before, records = model.copy(), []
                for step in some:
                    records.append(record_of(step, model, number))
                    model.apply(records[-1])
                journal.append(records)
        except Down:
            pass
        else:
            before = model
        disk = disk.after_power_loss() if power else disk.after_process_crash()
        try:
            journal = journal_on(disk)
        except LogDamaged:
            assert sector < A_SECTOR
            return
        if journal.stored != model.stored():
            model = before
        assert_knows(journal, model)


def test_a_torn_tail_is_cut_off_for_good() -> None:
    disk, journal = filled(3)
    whole = values_of(journal)
    name = name_of(0)
    used = journal.size
    disk.steps_left = 0
    with pytest.raises(Down):
        journal.append([Wrote(LEADER, 3, [b"torn" * 300])])
    content = bytearray(disk.files[name].now)
    content[used + A_SECTOR : used + 2 * A_SECTOR] = b"\x5a" + b"rest" * 127 + b"rest"[:3]
    disk = FakeDisk(files={name: bytes(content)})
    again = journal_on(disk)
    assert again.cut_bytes > 0
    assert values_of(again) == whole
    assert not any(disk.files[name].durable[used:])
    assert journal_on(disk).cut_bytes == 0


def test_room_is_there_for_sure() -> None:
    disk, journal = filled(3)
    disk.room = 0
    size = journal.room
    value = b"x" * (size - 200)
    while cost([Wrote(LEADER, 3, [value])]) > size:
        value = value[:-1]
    journal.append([Wrote(LEADER, 3, [value])])
    assert journal_on(disk).end == 4


def test_without_room_nothing_is_written_and_later_it_goes_on() -> None:
    disk, journal = filled(3)
    disk.room = 0
    with pytest.raises(LogFull, match=r"^disk/spare: No space left on device$"):
        fill(journal, 100)
    taken = journal.end
    assert 3 < taken < 100
    assert journal_on(disk).end == taken
    journal = journal_on(disk)
    with pytest.raises(LogFull):
        journal.append([Wrote(LEADER, taken, [b"y" * 3000])])
    disk.room = 1 << 20
    journal.append([Wrote(LEADER, taken, [b"y" * 3000])])
    assert values_of(journal_on(disk))[taken] == b"y" * 3000


def test_room_is_reserved_before_it_is_needed() -> None:
    disk, journal = filled(3)
    journal.reserve(10 * SMALL, keep=SMALL)
    assert journal.room >= 11 * SMALL
    disk.room = 0
    with pytest.raises(LogFull):
        journal.reserve(20 * SMALL, keep=0)
    assert journal.room >= 11 * SMALL
    journal.append([Wrote(LEADER, 3, [b"x" * 10 * SMALL])])
    with pytest.raises(LogFull):
        journal.reserve(10 * SMALL, keep=0)
    assert journal_on(disk).end == 4


def test_what_was_kept_in_reserve_lets_a_full_log_forget() -> None:
    disk, journal = filled(60)
    disk.room = 0
    journal.append([Known(60), Begin(60)])
    assert disk.room >= 10 * SMALL
    journal.reserve(5 * SMALL, keep=SMALL)


def test_a_disk_that_fails_ends_the_journal() -> None:
    disk, journal = filled(3)
    disk.sync_error = 5
    with pytest.raises(OSError, match="Input/output error"):
        journal.append([Known(3)])
    disk.sync_error = None
    with pytest.raises(RuntimeError, match=r"must be opened anew"):
        journal.append([Known(3)])


def test_files_that_are_removed_stay_open_for_those_who_read(tmp_path: Path) -> None:
    journal = Journal.open(Folder(tmp_path), alone=True, rng=random.Random(1), segment_bytes=16 * SMALL)
    for at in range(0, 400, 4):
        journal.append([Wrote(LEADER, at, [b"%d" % number * 100 for number in range(at, at + 4)]), Known(at)])
    wrong: list[object] = []
    done = threading.Event()

    def read_all() -> None:
        while not done.is_set():
            try:
                at = journal.begin
                for number, value in enumerate(journal.read(at, 20_000), at):
                    if value != b"%d" % number * 100:
                        wrong.append(value)
            except LookupError:
                pass
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=read_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for begin in range(0, 396, 4):
        journal.append([Begin(begin)])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert journal._retired == []
    journal.close()


def test_initializing_lets_an_empty_member_vote_and_none_else() -> None:
    disk = FakeDisk()
    initialize(disk, random.Random(1))
    assert journal_on(disk).stored == Stored(Status.VOTING)
    with pytest.raises(LogNotEmpty, match=r"^The log is not empty$"):
        initialize(disk, random.Random(1))
    assert journal_on(disk).stored == Stored(Status.VOTING)


def test_a_newer_format_is_refused_and_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FakeDisk()
    monkeypatch.setattr("aurorad.log.journal.FORMAT", 2)
    journal_on(disk)
    content = {name: bytes(file.now) for name, file in disk.files.items()}
    for alone in (True, False):
        with pytest.raises(LogUnknown, match=r"the log is of format 2, and this aurorad knows format 1 alone"):
            journal_on(disk, alone=alone)
    assert {name: bytes(file.now) for name, file in disk.files.items()} == content


def test_a_record_of_a_newer_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = FakeDisk()
    journal = journal_on(disk)
    monkeypatch.setattr(walk, "encode", lambda _: b"\x91\x92\xa6future\x00")
    journal.append([VOTING])
    monkeypatch.undo()
    with pytest.raises(LogUnknown, match=r"^batch 1 of the log was written by a newer aurorad: "):
        journal_on(disk, alone=False)


def test_the_folder_of_a_single_schedulers_log_is_refused() -> None:
    disk = FakeDisk(files={f"{0:020d}.log": b""})
    with pytest.raises(LogUnknown, match="the log of a scheduler that has no others"):
        journal_on(disk)
    assert list(disk.files) == [f"{0:020d}.log"]


def test_on_a_real_disk_all_is_the_same(tmp_path: Path) -> None:
    rng = random.Random(1)
    values = [rng.randbytes(rng.choice((0, 10, 1000, 100_000))) for _ in range(100)]
    journal = Journal.open(Folder(tmp_path), alone=True, rng=rng, segment_bytes=1 << 20)
    journal.append([VOTING])
    for at in range(0, 100, 5):
        journal.append([Wrote(LEADER, at, values[at : at + 5]), Known(at)])
    journal.close()
    journal = Journal.open(Folder(tmp_path), alone=True, rng=rng, segment_bytes=1 << 20)
    assert values_of(journal, 50_000) == dict(enumerate(values))
    journal.append([Begin(90)])
    journal.close()
    journal = Journal.open(Folder(tmp_path), alone=True, rng=rng, segment_bytes=1 << 20)
    assert list(values_of(journal)) == list(range(90, 100))
    journal.close()


def fill_with_reserve(journal: Journal) -> None:
    while True:
        journal.reserve(12_000, keep=20_000)
        journal.append([Wrote(LEADER, journal.end, [b"x" * 10_000]), Known(journal.end)])


def test_a_real_disk_that_is_full_refuses_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m"):
        journal = Journal.open(Folder(tmp_path / "log"), alone=True, rng=random.Random(1), segment_bytes=128 << 10)
        with pytest.raises(LogFull):
            fill_with_reserve(journal)
        taken = journal.end
        assert taken > 10
        journal.append([Begin(taken - 1)])
        journal.reserve(12_000, keep=20_000)
        journal.append([Wrote(LEADER, taken, [b"next"])])
        journal.close()
        journal = Journal.open(Folder(tmp_path / "log"), alone=True, rng=random.Random(1))
        assert journal.read(taken, 1) == [b"next"]
        journal.close()


WRITER = """
import pathlib, random, sys
from aurorad.log.disk import Folder
from aurorad.log.journal import Journal
from aurorad.log.messages import Begin, Known, Wrote
journal = Journal.open(Folder(pathlib.Path(sys.argv[1])), alone=True, rng=random.Random(1), segment_bytes=64 << 10)
while True:
    end = journal.end
    values = [b"%06d" % at * random.randint(1, 2000) for at in range(end, end + 3)]
    journal.append([Wrote((1, 1), end, values), Known(end), *([Begin(end - 50)] if end > 100 else [])])
    print(journal.end, flush=True)
"""


def test_a_process_that_is_killed_at_any_moment_leaves_what_it_said(tmp_path: Path) -> None:
    rng = random.Random(5)
    said = 0
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(rng.randint(1, 30)):
            said = int(writer.stdout.readline())
        writer.kill()
        said = max([said, *map(int, writer.stdout.read().split())])
        writer.stdout.close()
        writer.wait()
        journal = Journal.open(Folder(tmp_path), alone=True, rng=rng, segment_bytes=64 << 10)
        assert journal.end in (said, said + 3)
        for at, value in values_of(journal, 100_000).items():
            assert isinstance(value, bytes)
            assert {value[i : i + 6] for i in range(0, len(value), 6)} == {b"%06d" % at}
        journal.close()
