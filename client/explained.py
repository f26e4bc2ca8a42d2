"""What the scheduler says as JSON: why instances wait, what calls would do, in whole sentences; where sandboxes are."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Reason(msgspec.Struct, frozen=True):
    reason: str
    hosts: int


class Hosts(msgspec.Struct, frozen=True):
    """What hosts say to one more task; there is more, for scripts."""

    reasons: tuple[Reason, ...] = ()


class Waiting(msgspec.Struct, frozen=True):
    """Instances, as ``0-2, 5``, that wait for the same."""

    instances: str
    status: str
    sentences: tuple[str, ...]
    hosts: Hosts | None = None


class Explained(msgspec.Struct, frozen=True):
    sentences: tuple[str, ...]
    waiting: tuple[Waiting, ...] = ()
    update: tuple[str, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """`code` is what the call would be answered."""

    code: str
    sentences: tuple[str, ...]


class Sandboxes(msgspec.Struct, frozen=True):
    """Where its own agents keep the sandboxes of tasks, in the words of clusters.json; unset if it has none."""

    slave_root: str | None = None
    slave_run_directory: str = "latest"


def lines(told: Explained) -> Iterator[str]:
    """For a terminal."""
    yield from told.sentences
    for group in told.waiting:
        several = "" if group.instances.isdecimal() else "s"
        yield f"\nInstance{several} {group.instances} ({group.status}):"
        yield from (f"  {sentence}" for sentence in group.sentences)
        reasons = group.hosts.reasons if group.hosts is not None else ()
        yield from (f"  {reason.hosts:>7} x {reason.reason}" for reason in reasons)
    if told.update:
        yield ""
        yield from told.update
