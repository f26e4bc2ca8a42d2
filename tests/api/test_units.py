from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api import units

DURATIONS = ["ns", "us", "ms", "secs", "mins", "hrs", "days"]
AMOUNTS = ["BITS", "Kb", "Mb", "Gb", "BYTES", "KB", "MB", "GB", "TB", "PB"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1ns", 1e-9), ("5us", 5e-6), ("250ms", 0.25), ("10secs", 10), ("1mins", 60), ("2hrs", 7200), ("3days", 259200)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert units.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "1", "secs", "1min", "1sec", "1h", "1 secs", "-1secs", "1.5secs", "1SECS", "٣secs"]
)
def test_other_durations_are_refused_with_the_units_there_are(text: str) -> None:
    with pytest.raises(
        ValueError, match="a duration such as 10secs or 1mins, in one of ns, us, ms, secs, mins, hrs, days"
    ):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("8BITS", 1),
        ("8Kb", 1 << 10),
        ("1Mb", 1 << 17),
        ("8Gb", 1 << 30),
        ("7BYTES", 7),
        ("1KB", 1 << 10),
        ("64MB", 64 << 20),
        ("2GB", 2 << 30),
        ("1TB", 1 << 40),
        ("1PB", 1 << 50),
    ],
)
def test_an_amount_of_data_is_a_number_and_a_unit_of_1024(text: str, size_bytes: int) -> None:
    assert units.parse_data(text) == size_bytes


@pytest.mark.parametrize("text", ["", "64", "MB", "64mb", "64 MB", "-1MB", "1.5GB", "1EB", "9" * 400 + "MB"])
def test_other_amounts_are_refused_with_the_units_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="an amount of data such as 64MB or 2GB, in one of BITS, Kb"):
        units.parse_data(text)


@given(st.integers(0, 100_000), st.sampled_from(DURATIONS))
def test_a_duration_that_is_spelled_is_read_back(number: int, unit: str) -> None:
    seconds = units.parse_duration(f"{number}{unit}")
    spelled = units.format_duration(seconds)
    assert units.parse_duration(spelled) == pytest.approx(seconds)
    assert len(spelled) <= max(len(f"{number}{unit}"), len("0secs"))


@given(st.integers(0, 100_000), st.sampled_from(AMOUNTS))
def test_an_amount_that_is_spelled_is_read_back(number: int, unit: str) -> None:
    size_bytes = units.parse_data(f"{number}{unit}")
    assert units.parse_data(units.format_data(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0secs"), (0.001, "1ms"), (60, "1mins"), (90, "90secs"), (7200, "2hrs"), (86400.001, "86400001ms")],
)
def test_a_duration_is_spelled_in_the_largest_unit_that_is_exact(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text
