"""What entries of the log are, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from aurorad.storage.entries import (
    Assign,
    Entry,
    Insert,
    Joiner,
    LoggedOp,
    Move,
    Padding,
    Remove,
    Save,
    SnapshotBegin,
    SnapshotEnd,
    SnapshotPart,
    Transaction,
    UnreadableLog,
)
from aurorad.vars import Vars


class Description(NamedTuple):
    """A kind, and how many there are of what is in it."""

    kind: str
    counts: Mapping[str, int | str] = {}

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in self.counts.items())
        return f"{self.kind}: {counts}" if counts else self.kind


class Describer:
    """Told of one entry after the other, for large ones lie in several."""

    def __init__(self) -> None:
        self._joiner = Joiner(Vars())

    def __call__(self, position: int, record: bytes) -> Description:
        """Raises `ValueError` for what storage did not write."""
        try:
            entry = self._joiner.feed(position, record)
        except UnreadableLog as error:
            raise ValueError(str(error)) from error
        return Description("frame of a larger entry") if entry is None else describe(entry)


def describe(entry: Entry) -> Description:
    """A transaction counts its operations (of those on tasks, the tasks), a snapshot's part its rows."""
    match entry:
        case Transaction():
            counts = Counter[str]()
            for logged in entry.ops:
                name, count = _operation(logged)
                counts[name] += count
            return Description("transaction", dict(counts))
        case SnapshotBegin():
            taken = datetime.fromtimestamp(entry.timestamp_ms / 1000, UTC).isoformat(timespec="seconds")
            return Description("replacing snapshot begins" if entry.replaces else "snapshot begins", {"taken": taken})
        case SnapshotPart():
            tables = {
                "tasks": len(entry.tasks) + len(entry.records),
                "cron_jobs": len(entry.cron_jobs),
                "quotas": len(entry.quotas),
                "hosts": len(entry.hosts),
                "updates": len(entry.updates),
                "maintenance": len(entry.maintenance),
                "metadata": len(entry.metadata),
            }
            return Description("snapshot part", {name: count for name, count in tables.items() if count})
        case SnapshotEnd():
            return Description("snapshot ends", {"parts": entry.parts})
        case Padding():
            return Description("padding")


def _operation(logged: LoggedOp) -> tuple[str, int]:
    match logged.task_op:
        case Insert():
            return "insert_tasks", sum(last - first + 1 for first, last in logged.task_op.instances)
        case Save():
            return "save_tasks", len(logged.task_op.tasks)
        case Move():
            return "move_tasks", len(logged.task_op.task_ids)
        case Assign():
            return "assign_tasks", len(logged.task_op.task_ids)
        case Remove():
            return "remove_tasks", len(logged.task_op.task_ids)
    if logged.op is None:
        return "save_tasks", len(logged.tasks)
    (name,) = [name for name in logged.op.__struct_fields__ if getattr(logged.op, name) is not None] or ["nothing"]
    return name, 1
