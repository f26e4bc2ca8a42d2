"""Numbers that the API has no room for, or that are none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from aurorad.jobfile import where
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.values import Job

INT32, _INT64 = (1 << 31) - 1, (1 << 63) - 1
_IN_MILLISECONDS = INT32 // 1000
_MOST = {
    "watch_secs": _IN_MILLISECONDS,
    "pulse_interval_secs": _IN_MILLISECONDS,
    **dict.fromkeys(("ram", "disk", "gpu", "duration_secs", "delay_secs"), _INT64),
}


def check(job: Any, plain: Job, source: Any) -> None:
    """The same job as it was written, as plain values and evaluated. Raises `ConfigError` for the first such number."""
    for path, number in _numbers(msgspec.to_builtins(plain)):
        most = _MOST.get(path.rpartition(".")[2], INT32)
        if isinstance(number, int) and not -most - 1 <= number <= most:
            raise ConfigError(f"{number} is too large: at most {most} was expected{where.at(job, path)}")
    for path, number in _numbers(source.get()):  # with those that only the executor reads
        if not math.isfinite(number):
            raise ConfigError(f"{number} where a finite number was expected{where.at(job, path)}")


def _numbers(value: object, path: str = "") -> Iterator[tuple[str, float]]:
    match value:
        case bool():
            return
        case int() | float():
            yield path, value
        case Mapping():
            for name, inner in value.items():
                yield from _numbers(inner, f"{path}.{name}" if path else str(name))
        case Sequence() if not isinstance(value, str):
            for index, inner in enumerate(value):
                yield from _numbers(inner, f"{path}[{index}]")
