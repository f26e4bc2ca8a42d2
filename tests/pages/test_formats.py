import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.pages import formats

NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("ago_s", "words"),
    [
        (0, "a few seconds ago"),
        (44, "a few seconds ago"),
        (45, "a minute ago"),
        (89, "a minute ago"),
        (90, "2 minutes ago"),
        (180, "3 minutes ago"),
        (44 * 60, "44 minutes ago"),
        (45 * 60, "an hour ago"),
        (2 * 3600, "2 hours ago"),
        (23 * 3600, "a day ago"),
        (2 * 86400, "2 days ago"),
        (30 * 86400, "a month ago"),
        (100 * 86400, "3 months ago"),
        (365 * 86400, "a year ago"),
        (3 * 365 * 86400, "3 years ago"),
        (-240, "in 4 minutes"),
    ],
)
def test_relative_times_read_as_people_say_them(ago_s: int, words: str) -> None:
    assert formats.relative(NOW_MS - ago_s * 1000, NOW_MS) == words


def test_absolute_times_are_utc_and_say_so() -> None:
    assert formats.utc(NOW_MS) == "11/14 22:13:20 UTC"
    assert formats.utc_full(NOW_MS) == "2023-11-14 22:13:20 UTC"
    assert formats.iso(NOW_MS + 7) == "2023-11-14T22:13:20.007Z"


@given(st.integers(-(2**63), 2**63 - 1))
def test_no_timestamp_breaks_a_page(ms: int) -> None:
    assert formats.utc(ms)
    assert formats.utc_full(ms)
    assert formats.relative(ms, NOW_MS)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 s"),
        (400, "0.4 s"),
        (9_000, "9 s"),
        (12_000, "12 s"),
        (59_900, "1 min"),
        (185_000, "3 min 5 s"),
        (7_800_000, "2 h 10 min"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_durations_show_the_two_largest_units(ms: int, text: str) -> None:
    assert formats.duration(ms) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.00 KiB"),
        (1 << 20, "1.00 MiB"),
        (5 << 40, "5.00 TiB"),
    ],
)
def test_sizes_have_two_decimals_and_a_unit(count: int, text: str) -> None:
    assert formats.size_of_bytes(count) == text


def test_amounts_in_mb_and_numbers() -> None:
    assert [formats.size_of_mb(mb) for mb in (0, 1, 1024)] == ["0.00 MiB", "1.00 MiB", "1.00 GiB"]
    assert [formats.number(n) for n in (1.0, 0.25, 10.0, 0.0)] == ["1", "0.25", "10", "0"]


@pytest.mark.parametrize(
    ("numbers", "text"), [([], ""), ([5], "5"), ([3, 1, 0, 2, 5], "0 - 3, 5"), ([7, 7, 8], "7 - 8"), ([0, 2], "0, 2")]
)
def test_instance_numbers_join_to_ranges(numbers: list[int], text: str) -> None:
    assert formats.ranges(numbers) == text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plain name.txt", "plain name.txt"),
        ("naïve 文件", "naïve 文件"),
        ("a\nb\t\x1b[2J", r"a\nb\t\x1b[2J"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\udcff", r"\xff"),
        ("\u200b\xa0", r"\u200b\xa0"),
        ("\ue000", r"\ue000"),
    ],
)
def test_names_are_spelled_so_that_every_character_can_be_seen(name: str, words: str) -> None:
    assert formats.spelled(name) == words
