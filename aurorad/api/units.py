"""Durations and amounts of data as flags write them: ``10secs``, ``64MB`` (flags sheet, section 1)."""

from __future__ import annotations

import re

_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "secs": 1.0, "mins": 60.0, "hrs": 3600.0, "days": 86400.0}
_BITS = {
    "BITS": 1,
    "Kb": 1 << 10,
    "Mb": 1 << 20,
    "Gb": 1 << 30,
    "BYTES": 8,
    "KB": 8 << 10,
    "MB": 8 << 20,
    "GB": 8 << 30,
    "TB": 8 << 40,
    "PB": 8 << 50,
}
_AMOUNT = re.compile(r"(\d{1,18})([A-Za-z]+)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds. Raises `ValueError` that says what was expected."""
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2] not in _SECONDS:
        raise ValueError(f"a duration such as 10secs or 1mins, in one of {', '.join(_SECONDS)}")
    return int(match[1]) * _SECONDS[match[2]]


def parse_data(text: str) -> int:
    """Bytes. Raises `ValueError` that says what was expected."""
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2] not in _BITS:
        raise ValueError(f"an amount of data such as 64MB or 2GB, in one of {', '.join(_BITS)}")
    return int(match[1]) * _BITS[match[2]] // 8


def format_duration(seconds: float) -> str:
    """The shortest exact spelling, to the nanosecond, that `parse_duration` reads back."""
    nanos = round(seconds * 1e9)
    for unit, size in reversed(_SECONDS.items()):
        count, rest = divmod(nanos, round(size * 1e9))
        if count and not rest:
            return f"{count}{unit}"
    return "0secs"


def format_data(size_bytes: int) -> str:
    """The shortest exact spelling that `parse_data` reads back."""
    for unit in ("PB", "TB", "GB", "MB", "KB"):
        count, rest = divmod(size_bytes * 8, _BITS[unit])
        if count and not rest:
            return f"{count}{unit}"
    return f"{size_bytes}BYTES"
