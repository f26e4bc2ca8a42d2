"""What a journal makes of disks that do not hold what was written: it never believes them, and never votes on them."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurorad.log import sectors
from aurorad.log.disk import Folder
from aurorad.log.errors import LogDamaged, LogFull
from aurorad.log.journal import Journal
from aurorad.log.messages import NOBODY, Begin, Caught, Configuration, Metadata, Placed, Status, Stored, Wrote
from aurorad.log.walk import name_of
from tests.log.fake_disk import Down, FakeDisk
from tests.log.journals import A_SECTOR, LEADER, SMALL, VOTING, entry, fill, filled, journal_on, values_of

Files = dict[str, bytes]


def written(end: int = 60) -> Files:
    """The files of a journal of so many entries, the first of which were forgotten and their files removed."""
    disk, journal = filled(36)
    journal.append([Begin(30)])
    fill(journal, end)
    return files_of(disk)


def files_of(disk: FakeDisk) -> Files:
    return {name: bytes(file.now) for name, file in disk.files.items() if name.endswith(".journal")}


def with_bytes(files: Files, name: str, offset: int, data: bytes) -> Files:
    return files | {name: files[name][:offset] + data + files[name][offset + len(data) :]}


def flipped(files: Files, name: str, offset: int, bit: int = 3) -> Files:
    return with_bytes(files, name, offset, bytes([files[name][offset] ^ 1 << bit]))


def offsets(content: bytes) -> list[int]:
    """Where the batches of a file are."""
    found = [0]
    while (batch := sectors.decode(content, found[-1])) is not None:
        found.append(batch.end_offset)
    return found[:-1]


def without(files: Files, *names: str) -> Files:
    return {name: content for name, content in files.items() if name not in names}


def of_another(name: str) -> bytes:
    disk = FakeDisk(sector=A_SECTOR)
    journal = Journal.open(disk, alone=True, rng=random.Random(99), segment_bytes=SMALL)
    journal.append([VOTING])
    fill(journal, 60)
    return bytes(disk.files[name].now)


def as_it_was(name: str, entries: int) -> bytes:
    """A file of the same journal, some time ago."""
    return written(entries)[name]


WRITTEN = written()
FIRST, SECOND, THIRD, FOURTH, FIFTH, LAST = sorted(WRITTEN)
MIDDLE = offsets(WRITTEN[THIRD])[2]
END = offsets(WRITTEN[LAST])[-1]
ZEROS = bytes(A_SECTOR)

# What became of the files, how many are still good, which one is said to be damaged, and why.
DAMAGES: dict[str, tuple[Files, int, str, str]] = {
    "a bit of the oldest file": (flipped(WRITTEN, FIRST, 700), 0, FIRST, "checksum"),
    "a bit of an entry": (flipped(WRITTEN, THIRD, MIDDLE + 100), 2, THIRD, f"at byte {MIDDLE}: the checksum"),
    "a bit of a batch's header": (flipped(WRITTEN, THIRD, MIDDLE + 9), 2, THIRD, f"at byte {MIDDLE}: the header"),
    "a bit of a head": (flipped(WRITTEN, THIRD, 50), 2, THIRD, "at byte 0: "),
    "a bit of a close": (flipped(WRITTEN, THIRD, offsets(WRITTEN[THIRD])[-1] + 7), 2, THIRD, "header"),
    "a bit of the last batch": (flipped(WRITTEN, LAST, END + 100), 5, LAST, "checksum"),
    "a bit of the last batch's header": (flipped(WRITTEN, LAST, END + 1), 5, LAST, "header"),
    "a bit of the last batch's mark": (flipped(WRITTEN, LAST, END), 5, LAST, "header"),
    "a sector of zeros": (with_bytes(WRITTEN, THIRD, MIDDLE, ZEROS), 2, THIRD, "no batch there, yet others follow"),
    "a sector of zeros before the last batch": (
        with_bytes(WRITTEN, LAST, offsets(WRITTEN[LAST])[-2], ZEROS),
        5,
        LAST,
        "no batch there, yet others follow",
    ),
    "a file of zeros": (WRITTEN | {THIRD: bytes(SMALL)}, 2, THIRD, "the file has no beginning"),
    "a last file of zeros": (WRITTEN | {LAST: bytes(SMALL)}, 5, LAST, "the file has no beginning"),
    "the oldest file is missing": (
        without(WRITTEN, FIRST),
        0,
        SECOND,
        "files before it are missing.* positions 30 to ",
    ),
    "a file is missing": (without(WRITTEN, THIRD), 2, THIRD, "the file is missing"),
    # Without the second one, the first one says nothing of what was forgotten, and so lacks what was before it.
    "two files are missing": (without(WRITTEN, SECOND, THIRD), 0, SECOND, "the file is missing"),
    "the last file is missing": (without(WRITTEN, LAST), 5, LAST, "the one before says that it follows"),
    "an empty file": (WRITTEN | {THIRD: b""}, 2, THIRD, "the file is empty"),
    "half a file": (WRITTEN | {THIRD: WRITTEN[THIRD][: SMALL // 2]}, 2, THIRD, "had 4096 bytes and has 2048"),
    "half of the last file": (WRITTEN | {LAST: WRITTEN[LAST][: SMALL // 2]}, 5, LAST, "had 4096 bytes and has 2048"),
    "less than a sector": (WRITTEN | {LAST: WRITTEN[LAST][:100]}, 5, LAST, "at byte 0: "),
    "two files have changed places": (
        WRITTEN | {SECOND: WRITTEN[THIRD], THIRD: WRITTEN[SECOND]},
        0,
        SECOND,
        f"it is the journal's file {int(THIRD[:20])}|batch .* was expected",
    ),
    "another member's file": (WRITTEN | {THIRD: of_another(THIRD)}, 2, THIRD, "was expected|another journal"),
    "another member's last file": (WRITTEN | {LAST: of_another(LAST)}, 5, LAST, "was expected|another journal"),
    "a file as it once was": (WRITTEN | {THIRD: as_it_was(THIRD, 45)}, 3, FOURTH, "was expected"),
    "two batches of a file have changed places": (
        with_bytes(
            WRITTEN,
            THIRD,
            MIDDLE,
            WRITTEN[THIRD][MIDDLE + A_SECTOR : MIDDLE + 2 * A_SECTOR] + WRITTEN[THIRD][MIDDLE:][:A_SECTOR],
        ),
        2,
        THIRD,
        "was expected",
    ),
    "something behind the end": (
        with_bytes(WRITTEN, LAST, END + A_SECTOR, b"\5" * 600),
        5,
        LAST,
        "header|checksum",
    ),
}


@pytest.mark.parametrize(("files", "kept", "damaged", "what"), DAMAGES.values(), ids=DAMAGES)
def test_damage_is_told_and_nothing_behind_it_is_believed(files: Files, kept: int, damaged: str, what: str) -> None:
    assert_it_is_not_believed(files, kept, damaged=damaged, what=what)


def assert_it_is_not_believed(files: Files, kept: int, *, damaged: str, what: str) -> None:
    """Alone, it is refused and nothing is changed; else what is learned in the first files is all that there is."""
    disk = FakeDisk(files=files)
    with pytest.raises(LogDamaged, match=what) as refused:
        journal_on(disk)
    assert refused.value.file == f"disk/{damaged}"
    assert files_of(disk) == files
    assert not disk.is_open

    disk = FakeDisk(files=files)
    good = sorted(files)[:kept]
    for attempt in range(2):  # opened again, it is still so
        journal = journal_on(disk, alone=False)
        assert (journal.damage is not None) == (attempt == 0)
        stored = journal.stored
        assert (stored.status, stored.member, stored.promised, stored.last) == (Status.RECOVERING, 0, NOBODY, NOBODY)
        assert (stored.learned_to, stored.tail) == (stored.end, ())
        original = values_of(journal)
        assert all(value == entry(at) for at, value in original.items())
        assert (len(original) > 0) == (kept > 0)
    aside = {name for name in disk.files if ".damaged" in name}
    assert aside == {f"{name}.damaged" for name in files if name not in good}
    assert all(bytes(disk.files[name].now) == files[name.removesuffix(".damaged")] for name in aside)

    end = journal.end
    journal.append([Caught(end, [b"caught up"]), Metadata(Status.VOTING, 99, (9, 9))])
    again = journal_on(disk)
    assert again.stored == Stored(Status.VOTING, 99, (9, 9), again.begin, end + 1, NOBODY, end + 1, ())
    assert values_of(again) == original | {end: b"caught up"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(WRITTEN)), st.integers(0, SMALL - 1), st.integers(0, 7))
def test_a_flipped_bit_is_told_or_lies_where_nothing_was_written(name: str, offset: int, bit: int) -> None:
    files = flipped(WRITTEN, name, offset, bit)
    journal = journal_on(FakeDisk(files=files), alone=False)
    if journal.damage is None:
        assert offset >= len(WRITTEN[name].rstrip(b"\0"))
        assert values_of(journal) == values_of(journal_on(FakeDisk(files=WRITTEN)))
        assert journal.stored == journal_on(FakeDisk(files=WRITTEN)).stored
    else:
        assert journal.stored.status is Status.RECOVERING


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(WRITTEN)), st.integers(0, SMALL - 1), st.binary(min_size=1, max_size=2000), st.booleans())
def test_whatever_was_written_over_a_file_is_told_or_changes_nothing(
    name: str, offset: int, garbage: bytes, cut: bool
) -> None:
    """But for sectors of zeros where the last write was: see below."""
    files = with_bytes(WRITTEN, name, offset, (garbage.rstrip(b"\0") or b"x")[: SMALL - offset])
    if cut:
        files[name] = files[name][: offset + len(garbage)]
    original = journal_on(FakeDisk(files=WRITTEN))
    journal = journal_on(FakeDisk(files=files), alone=False)
    if journal.damage is None:
        assert journal.stored == original.stored
        assert values_of(journal) == values_of(original)
    else:
        assert journal.stored.status is Status.RECOVERING
        assert values_of(journal).items() <= values_of(original).items()


def test_a_disk_that_lost_its_last_writes_whole_looks_as_if_they_had_never_been() -> None:
    """Nobody can know that from the disk: it is as old as what a crash leaves. Others, who were told of them, know."""
    before_last = offsets(WRITTEN[LAST])[-2]
    journal = journal_on(FakeDisk(files=with_bytes(WRITTEN, LAST, before_last, bytes(SMALL - before_last))))
    assert journal.damage is None
    assert journal.end < 60


def test_files_that_cannot_be_read_are_damage() -> None:
    disk = FakeDisk(files=WRITTEN)
    disk.files[THIRD].is_unreadable = True
    with pytest.raises(LogDamaged, match=f"{THIRD} is damaged at byte 0: it cannot be read: Input/output error"):
        journal_on(disk)
    journal = journal_on(disk, alone=False)
    assert journal.stored.status is Status.RECOVERING
    assert len(values_of(journal)) > 0


def test_what_is_damaged_after_opening_is_never_served() -> None:
    disk = FakeDisk(files=WRITTEN)
    journal = journal_on(disk)
    values = values_of(journal)
    offset = MIDDLE + 100
    disk.files[THIRD].now[offset] ^= 4
    harmed = [at for at in values if harms(journal, at)]
    assert len(harmed) == 1
    with pytest.raises(LogDamaged) as damage:
        journal.read(harmed[0], 1)
    assert (damage.value.file, damage.value.offset) == (f"disk/{THIRD}", MIDDLE)
    with pytest.raises(LogDamaged):
        values_of(journal)
    disk.files[THIRD].is_unreadable = True
    with pytest.raises(LogDamaged, match="it cannot be read: Input/output error"):
        values_of(journal)


def harms(journal: Journal, position: int) -> bool:
    try:
        assert journal.read(position, 1) == [entry(position)]
    except LogDamaged:
        return True
    return False


def test_what_a_member_knew_of_its_cluster_is_kept_with_the_good_files() -> None:
    disk = FakeDisk(sector=A_SECTOR)
    placed = Placed(Configuration("c", 2, ((11, "a:1"),)), 0)
    journal = journal_on(disk)
    journal.append([Metadata(Status.VOTING, 11, LEADER, placed)])
    fill(journal, 40)
    last = max(files_of(disk))
    disk.files[last].now[600] ^= 1
    assert journal_on(disk, alone=False).stored.placed == placed


@pytest.mark.parametrize("power", [False, True])
@pytest.mark.parametrize("damage", ["a bit of an entry", "a bit of the oldest file", "the last file is missing"])
def test_a_member_that_goes_down_while_it_sets_files_aside_has_not_forgotten_that_it_forgot(
    damage: str, power: bool
) -> None:
    files = DAMAGES[damage][0]
    for steps_left in itertools.count():
        disk = FakeDisk(random.Random(steps_left), files, A_SECTOR)
        disk.steps_left = steps_left
        went_down = False
        try:
            journal_on(disk, alone=False)
        except Down:
            went_down = True
        disk = disk.after_power_loss() if power else disk.after_process_crash()
        journal = journal_on(disk, alone=False)
        assert journal.stored.status is Status.RECOVERING
        assert journal_on(disk, alone=False).stored == journal.stored
        if not went_down:
            break


def test_it_can_be_damaged_again() -> None:
    disk = FakeDisk(files=DAMAGES["a bit of an entry"][0])
    journal_on(disk, alone=False)
    disk.files[SECOND].now[30] ^= 1
    journal = journal_on(disk, alone=False)
    assert journal.stored.status is Status.RECOVERING
    assert {f"{SECOND}.damaged", f"{THIRD}.damaged", f"{THIRD}.damaged-2"} <= set(disk.files)


def test_without_room_damage_is_told_again_later() -> None:
    disk = FakeDisk(files=DAMAGES["a bit of an entry"][0])
    disk.room = 0
    with pytest.raises(LogFull):
        journal_on(disk, alone=False)
    disk.room = 1 << 20
    journal = journal_on(disk, alone=False)
    assert journal.stored.status is Status.RECOVERING


def test_on_a_real_disk_damage_is_set_aside(tmp_path: Path) -> None:
    journal = Journal.open(Folder(tmp_path), alone=True, rng=random.Random(1))
    journal.append([VOTING, Wrote(LEADER, 0, [b"x" * 1000])])
    journal.close()
    file = tmp_path / name_of(0)
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(LogDamaged, match=f"^{file} is damaged at byte 512: the checksum does not match$"):
        Journal.open(Folder(tmp_path), alone=True, rng=random.Random(1))
    journal = Journal.open(Folder(tmp_path), alone=False, rng=random.Random(1))
    assert journal.stored.status is Status.RECOVERING
    journal.close()
    assert sorted(os.listdir(tmp_path)) == [name_of(0), f"{name_of(0)}.damaged", "spare"]
