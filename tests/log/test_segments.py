from __future__ import annotations

import errno
import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurorad.log import batches
from aurorad.log.errors import LogDamaged, LogFull
from aurorad.log.segments import Segments
from tests.log.fake_disk import Down, FakeDisk

SMALL = 200  # bytes of a segment, so that a few entries fill it


def entries_of(log: Segments, position: int | None = None) -> dict[int, bytes]:
    start = log.begin if position is None else position
    return {at: entry for some in log.read(start) for at, entry in some}


def filled(disk: FakeDisk, *groups: Sequence[bytes]) -> Segments:
    log = Segments(disk, SMALL)
    for group in groups:
        log.append(group)
    return log


def last_name(disk: FakeDisk) -> str:
    return max(disk.files)


def test_a_new_log_is_empty() -> None:
    log = Segments(FakeDisk())
    assert (log.begin, log.end, log.size) == (0, 0, 0)
    assert entries_of(log) == {}


def test_positions_count_entries_and_append_returns_the_last() -> None:
    log = Segments(FakeDisk())
    assert log.append([b"a"]) == 0
    assert log.append([b"b", b"", b"d"]) == 3
    assert log.end == 4
    assert entries_of(log) == {0: b"a", 1: b"b", 2: b"", 3: b"d"}


def test_one_append_is_one_sync() -> None:
    disk = FakeDisk()
    log = Segments(disk)
    before = disk.syncs
    log.append([b"x"] * 1000)
    assert disk.syncs == before + 1


def test_reading_starts_at_any_position_within_a_batch_too() -> None:
    log = filled(FakeDisk(), [b"a", b"b", b"c"], [b"d" * 300], [b"e", b"f"])
    for start in range(log.end + 1):
        assert list(entries_of(log, start)) == list(range(start, log.end))


def test_segments_are_rolled_by_size_and_read_as_one() -> None:
    disk = FakeDisk()
    log = filled(disk, *[[b"%d" % i * 50] for i in range(10)])
    assert len(disk.files) > 2
    assert list(entries_of(log).values()) == [b"%d" % i * 50 for i in range(10)]
    assert entries_of(Segments(disk, SMALL)) == entries_of(log)


def test_truncating_removes_whole_segments_before_the_position() -> None:
    disk = FakeDisk()
    log = filled(disk, *[[b"x" * 150] for _ in range(10)])
    all_entries = entries_of(log)
    log.truncate(5)
    assert 0 < log.begin <= 5
    assert entries_of(log) == {at: entry for at, entry in all_entries.items() if at >= log.begin}
    assert min(disk.files) == f"{log.begin:020d}.log"
    with pytest.raises(LookupError, match=f"position 0 was truncated: the log begins at {log.begin}"):
        list(log.read(0))


def test_truncating_everything_keeps_the_position() -> None:
    disk = FakeDisk()
    log = filled(disk, *[[b"x" * 150] for _ in range(10)])
    log.truncate(log.end)
    again = Segments(disk, SMALL)
    assert again.end == 10
    assert again.append([b"y"]) == 10


def test_a_torn_tail_is_cut_wherever_it_was_torn() -> None:
    whole = FakeDisk()
    filled(whole, [b"kept"])
    (name,) = whole.files
    kept = whole.files[name].read(1 << 20)
    torn = batches.encode(1, [b"torn" * 30, b"too"])
    for length in range(1, len(torn)):
        disk = FakeDisk(files={name: kept + torn[:length]})
        log = Segments(disk)
        assert (log.torn_bytes, log.end) == (length, 1)
        assert disk.files[name].durable == kept + torn[:length], "who opens it changes nothing"
        log.append([b"next"])
        assert disk.files[name].durable == kept + batches.encode(1, [b"next"])
        assert entries_of(Segments(disk)) == {0: b"kept", 1: b"next"}


def test_a_tail_of_zeros_is_cut() -> None:
    disk = FakeDisk()
    filled(disk, [b"kept"])
    disk.files[last_name(disk)].now += bytes(500)
    assert Segments(disk).torn_bytes == 500


def test_a_tail_torn_in_its_middle_is_cut_whole() -> None:
    disk = FakeDisk()
    filled(disk, [b"kept"], [b"a" * 60, b"b" * 60])
    file = disk.files[last_name(disk)]
    file.now[-100] ^= 1
    log = Segments(disk)
    assert entries_of(log) == {0: b"kept"}


def test_damage_with_anything_good_after_it_is_refused_with_file_and_offset() -> None:
    disk = FakeDisk()
    filled(disk, [b"first"], [b"second"], [b"third"])
    (name,) = disk.files
    second = batches.encode(0, [b"first"])
    disk.files[name].now[len(second) + 26] ^= 1
    content = bytes(disk.files[name].now)
    with pytest.raises(LogDamaged) as damage:
        Segments(disk)
    assert (damage.value.file, damage.value.offset) == (f"disk/{name}", len(second))
    assert str(damage.value).startswith(f"disk/{name} is damaged at byte {len(second)}: ")
    assert bytes(disk.files[name].now) == content, "nothing was cut off"
    assert not disk.is_open


def test_a_damaged_end_of_a_segment_that_others_follow_is_refused() -> None:
    disk = FakeDisk()
    filled(disk, *[[b"x" * 150] for _ in range(6)])
    first = min(disk.files)
    disk.files[first].now[-1] ^= 1
    with pytest.raises(LogDamaged, match=f"disk/{first} is damaged at byte "):
        Segments(disk)


def test_a_missing_segment_is_refused() -> None:
    disk = FakeDisk()
    filled(disk, *[[b"x" * 250] for _ in range(3)])
    del disk.files[sorted(disk.files)[1]]
    with pytest.raises(LogDamaged, match="position 1 is missing, 2 comes next"):
        Segments(disk)


def test_a_batch_at_the_wrong_position_is_refused() -> None:
    disk = FakeDisk(files={f"{0:020d}.log": batches.encode(0, [b"a"]) + batches.encode(7, [b"b"])})
    with pytest.raises(LogDamaged, match="position 1 was expected there"):
        Segments(disk)


def test_files_of_others_in_the_folder_are_left_alone() -> None:
    disk = FakeDisk(files={"README": b"hello", "1.log": b"x"})
    log = Segments(disk)
    log.append([b"a"])
    assert disk.files["README"].read(9) == b"hello"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_refuses_all_of_an_append_and_takes_a_later_one(error: int) -> None:
    disk = FakeDisk(random.Random(3))
    log = filled(disk, [b"kept"])
    size = len(disk.files[last_name(disk)].now)
    if error == errno.EDQUOT:
        disk.sync_error = error
        failing = disk.files[last_name(disk)]
        truncate = failing.truncate

        def truncate_and_heal(size: int) -> None:
            disk.sync_error = None
            truncate(size)

        failing.truncate = truncate_and_heal  # type: ignore[method-assign]
    else:
        disk.room = 100
    with pytest.raises(LogFull, match=r"disk/0+\.log: "):
        log.append([b"a" * 80, b"b" * 80])
    assert len(disk.files[last_name(disk)].durable) == size, "the part that was written is durably gone"
    assert entries_of(Segments(disk.after_power_loss())) == {0: b"kept"}
    disk.room = 1000
    assert log.append([b"c"]) == 1
    assert entries_of(log) == {0: b"kept", 1: b"c"}


def test_a_disk_too_full_for_a_new_segment_refuses_and_takes_a_later_append() -> None:
    disk = FakeDisk()
    log = filled(disk, [b"x" * 250])
    disk.room = 0
    for _ in range(2):
        with pytest.raises(LogFull):
            log.append([b"y"])
    disk.room = 1000
    assert log.append([b"y"]) == 1
    assert entries_of(Segments(disk, SMALL)) == {0: b"x" * 250, 1: b"y"}


def test_a_failed_sync_is_final() -> None:
    disk = FakeDisk()
    log = filled(disk, [b"kept"])
    disk.sync_error = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        log.append([b"lost?"])
    disk.sync_error = None
    before = disk.syncs
    with pytest.raises(RuntimeError, match="the log failed before"):
        log.append([b"more"])
    with pytest.raises(RuntimeError, match="the log failed before"):
        log.truncate(1)
    assert disk.syncs == before, "a failed sync is not tried again"


def test_what_only_memory_held_is_synced_before_it_is_trusted() -> None:
    disk = FakeDisk()
    filled(disk, [b"kept"])
    file = disk.files[last_name(disk)]
    file.write(batches.encode(1, [b"written, not synced"]), file.size())
    after = disk.after_process_crash()
    assert Segments(after).end == 2
    assert Segments(after.after_power_loss()).end == 2


entry = st.integers(0, 150).flatmap(lambda size: st.binary(min_size=size, max_size=size))
action = st.one_of(
    st.tuples(st.just("append"), st.lists(entry, min_size=1, max_size=4)),
    st.tuples(st.just("truncate"), st.sampled_from((0.3, 0.7, 1.0))),
    st.tuples(st.just("reopen"), st.none()),
    st.tuples(st.just("full"), st.integers(0, 300)),
)


@settings(max_examples=800, suppress_health_check=[HealthCheck.too_slow])
@given(
    actions=st.lists(action, max_size=25),
    crashes=st.lists(st.integers(0, 60), min_size=1, max_size=4),
    power=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_whatever_happens_what_was_acknowledged_is_read_back(
    actions: list[tuple[str, object]], crashes: list[int], power: bool, seed: int
) -> None:
    """Crashes at any call of the disk, torn and lost writes, full disks: nothing acknowledged is lost or changed."""
    disk = FakeDisk(random.Random(seed))
    log = Segments(disk, SMALL)
    kept: dict[int, bytes] = {}
    must_be_there_from = 0
    for steps in crashes:
        in_flight: list[bytes] = []
        disk.steps_left = steps
        try:
            for name, argument in actions:
                if name == "append":
                    in_flight = list(argument)  # type: ignore[call-overload]
                    last = _append(log, disk, in_flight)
                    if last is not None:
                        kept.update(enumerate(in_flight, last + 1 - len(in_flight)))
                    in_flight = []
                elif name == "truncate":
                    before = round(argument * log.end)  # type: ignore[operator]
                    must_be_there_from = max(must_be_there_from, before)
                    log.truncate(before)
                elif name == "full":
                    disk.room = argument  # type: ignore[assignment]
                else:
                    log = Segments(disk, SMALL)
        except Down:
            pass
        disk = disk.after_power_loss() if power else disk.after_process_crash()
        log = Segments(disk, SMALL)
        found = entries_of(log)
        expected = {at: kept[at] for at in kept if at >= log.begin}
        assert log.begin <= must_be_there_from
        if found != expected:
            end = len(kept)
            assert found == expected | dict(enumerate(in_flight, end)), "an append is there whole or not at all"
            kept.update(enumerate(in_flight, end))


def _append(log: Segments, disk: FakeDisk, entries: list[bytes]) -> int | None:
    try:
        return log.append(entries)
    except LogFull:
        disk.room = 1 << 30
        return None
