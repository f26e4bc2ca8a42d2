"""How times, durations and amounts are written for people (web-ui sheet, 1 and 3; observer sheet, 8)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from aurorad.api.ranges import spans

_MINUTE, _HOUR, _DAY, _MONTH, _YEAR = 60.0, 3600.0, 86400.0, 2629800.0, 31557600.0

# Up to so many seconds, this text; {n} counts the unit beside it.
_RELATIVE = (
    (45, "a few seconds", 1.0),
    (90, "a minute", _MINUTE),
    (45 * _MINUTE, "{n} minutes", _MINUTE),
    (90 * _MINUTE, "an hour", _HOUR),
    (22 * _HOUR, "{n} hours", _HOUR),
    (36 * _HOUR, "a day", _DAY),
    (26 * _DAY, "{n} days", _DAY),
    (45 * _DAY, "a month", _MONTH),
    (320 * _DAY, "{n} months", _MONTH),
    (548 * _DAY, "a year", _YEAR),
)


def relative(then_ms: int, now_ms: int) -> str:
    """``a few seconds ago``, ``3 minutes ago``, ``in an hour``."""
    distance_s = abs(now_ms - then_ms) / 1000
    for limit_s, text, unit_s in _RELATIVE:
        if distance_s < limit_s:
            words = text.format(n=max(2, round(distance_s / unit_s)))
            break
    else:
        words = f"{round(distance_s / _YEAR)} years"
    return f"in {words}" if then_ms > now_ms else f"{words} ago"


def utc(ms: int) -> str:
    """``MM/DD HH:mm:ss UTC``."""
    return f"{_moment(ms):%m/%d %H:%M:%S} UTC"


def utc_full(ms: int) -> str:
    """``YYYY-MM-DD HH:mm:ss UTC``."""
    return f"{_moment(ms):%Y-%m-%d %H:%M:%S} UTC"


def iso(ms: int) -> str:
    """For the ``datetime`` attribute of a ``time`` element."""
    return f"{_moment(ms):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def _moment(ms: int) -> datetime:
    """The moment, or the nearest one that a calendar can name: a page must not break over a wild timestamp."""
    return datetime.fromtimestamp(min(max(ms, 0), 253402300799999) / 1000, UTC)


def duration(ms: int) -> str:
    """The two largest units: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if ms < 10_000:
        return f"{max(ms, 0) / 1000:.1f}".removesuffix(".0") + " s"
    seconds = round(ms / 1000)
    for size, name, small_size, small_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            rest = seconds % size // small_size
            return f"{seconds // size} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{seconds} s"


def size_of_bytes(count: float) -> str:
    """``512 bytes``, ``1.00 KiB``, ``2.50 GiB``."""
    if abs(count) < 1024:
        return f"{count:.0f} byte" + ("" if count == 1 else "s")
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if abs(count) < 1024:
            return f"{count:.2f} {unit}"
    return f"{count / 1024:.2f} TiB"


def size_of_mb(count: float) -> str:
    """An amount in MB: ``1.00 MiB``, ``1.00 GiB``."""
    return "0.00 MiB" if not count else size_of_bytes(count * (1 << 20))


def number(value: float) -> str:
    """A number without needless digits: ``1``, ``0.25``."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def ranges(numbers: Iterable[int]) -> str:
    """``0 - 3, 5``: neighbours joined."""
    return ", ".join(str(first) if first == last else f"{first} - {last}" for first, last in spans(numbers))


def spelled(name: str) -> str:
    """A file's name as it can be read: what is no visible character as ``\\n``, ``\\xff`` or ``\\u202e``."""
    return "".join(char if char.isprintable() else _escape(char) for char in name)


def _escape(char: str) -> str:
    if 0xDC80 <= ord(char) <= 0xDCFF:  # a byte that is no UTF-8, as Python has it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
