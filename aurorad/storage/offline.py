"""``aurorad log restore``: a backup, or what another log tells, into a new log, while no scheduler runs.

It stands for the original's recovery tool (storage sheet, A7).

The log begins at a position that is as high as the time, in microseconds: whatever still stands for a position of the
log that was lost, such as a state.db, is recognised as older than this one, and thrown away.
"""

from __future__ import annotations

import random
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from aurorad.api import units
from aurorad.log.disk import Folder, ReadOnlyFolder
from aurorad.log.errors import LogDamaged, LogFull, LogInUse, LogUnknown
from aurorad.log.inspection import inspect
from aurorad.log.journal import UNFINISHED, Journal
from aurorad.log.messages import NOBODY, Begin, Known, Metadata, Proposal, Status, Stored, Wrote
from aurorad.log.segments import Segments
from aurorad.rules import tiers
from aurorad.rules.tiers import TierError, Tiers
from aurorad.storage import entries
from aurorad.storage.backup_folder import BackupFolder, NoSuchBackup
from aurorad.storage.backups import CannotLoad, loaded
from aurorad.storage.entries import UnreadableLog
from aurorad.storage.replay import Replay
from aurorad.storage.shared import Shared
from aurorad.storage.snapshots import every_part
from aurorad.storage.storage import MAX_ENTRY_BYTES
from aurorad.storage.tables import Table, Tables
from aurorad.vars import Vars

NOT_EMPTY = "Refusing to recover into non-empty persistence"

_GROUP_BYTES = 4 << 20
_RESTORED: Proposal = (1, 0)
"""Who wrote it: nobody's id, so the folder may be copied to other members before any of them has started."""


class CannotRestore(Exception):
    """Nothing was written. The text says why."""


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 if it is done, 1 if not."""
    given = _given(arguments)
    try:
        chosen = tiers.parse(given.tier_config.read_bytes()) if given.tier_config else tiers.BUILT_IN
        tables = _loaded(given.from_backup, chosen) if given.from_backup else _replayed(given.from_log)
        begin, now_ms = time.time_ns() // 1000, time.time_ns() // 1_000_000
        records = _records(tables, now_ms, given.dlog_max_entry_size)
        if given.path is not None:
            restore_member(given.path, begin, records)
        else:
            restore_alone(given.work_dir, begin, records)
    except (CannotRestore, TierError, LogDamaged, LogFull, LogInUse, LogUnknown, OSError) as error:
        print(f"aurorad log restore: {error}", file=sys.stderr)
        return 1
    counts = ", ".join(f"{len(tables.rows(table))} {table.replace('_', ' ')}" for table in Table)
    print(f"{given.from_backup or given.from_log} is restored into {given.path or given.work_dir}: {counts}")
    return 0


class _Given(NamedTuple):
    from_backup: Path | None
    from_log: Path
    path: Path | None
    work_dir: Path
    tier_config: Path | None
    dlog_max_entry_size: int


def _given(arguments: Sequence[str]) -> _Given:
    parser = ArgumentParser(
        "aurorad log restore",
        description="Restore a state into a new log. No scheduler may run. docs/backups.md tells when and how.",
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from-backup", type=Path, metavar="FILE", help="a backup")
    source.add_argument("--from-log", type=Path, metavar="FOLDER", help="a log, of either kind; it is not changed")
    into = parser.add_mutually_exclusive_group(required=True)
    into.add_argument("--path", type=Path, metavar="FOLDER", help="log of a member of several: -native_log_file_path")
    into.add_argument("--work_dir", type=Path, metavar="FOLDER", help="-work_dir of a scheduler that is alone")
    parser.add_argument("--tier_config", type=Path, metavar="FILE", help="as the scheduler's flag")
    parser.add_argument("--dlog_max_entry_size", type=_size, default=MAX_ENTRY_BYTES, help="as the scheduler's flag")
    given = parser.parse_args(list(arguments))
    return _Given(**vars(given))


def _size(text: str) -> int:
    try:
        return units.parse_data(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no amount of data such as 512KB") from None


def _loaded(file: Path, known: Tiers) -> Tables:
    try:
        return loaded(BackupFolder(file.parent, 1), file.name, known)
    except (NoSuchBackup, CannotLoad) as error:
        raise CannotRestore(str(error)) from None


def _replayed(folder: Path) -> Tables:
    """All that a log tells, up to its very end: whoever wrote that may have had it acknowledged by others."""
    try:
        disk = ReadOnlyFolder(folder)
    except OSError as error:
        raise CannotRestore(f"{folder} cannot be read: {error.strerror}") from None
    with closing(disk):
        if disk.is_in_use():
            raise CannotRestore(f"{folder} is in use: stop the scheduler")
        found = inspect(disk)
        replay = Replay(Tables() if found.facts["begin"] == 0 else None, Vars(), Shared())
        try:
            for entry in found.entries():
                if isinstance(entry.value, bytes):
                    replay.feed(entry.position, entry.value)
        except UnreadableLog as error:
            raise CannotRestore(str(error)) from None
    if found.damages:
        raise found.damages[0]
    if replay.tables is None:
        raise CannotRestore(f"{folder} holds no whole snapshot")
    return replay.tables


def restore_alone(work_dir: Path, begin: int, records: Iterable[bytes]) -> None:
    """Into the log of a scheduler that has no others. Raises `CannotRestore`, `LogInUse`, `LogFull`, `OSError`."""
    if (work_dir / "state.db").exists():
        raise CannotRestore(f"{NOT_EMPTY}: {work_dir / 'state.db'} is there")
    work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    disk = Folder(work_dir / "log")
    try:
        _empty(disk, work_dir / "log")
        disk.open(f"{begin:020d}.log").close()
        disk.sync()
    except BaseException:
        disk.close()
        raise
    log = Segments(disk)
    try:
        for group in _groups(records):
            log.append(group)
    finally:
        log.close()


def _empty(disk: Folder, path: Path) -> None:
    """What a first start leaves is an empty file."""
    names = disk.names()
    filled = [name for name in names if not (path / name).is_file() or (path / name).stat().st_size]
    if filled:
        raise CannotRestore(f"{NOT_EMPTY}: {path / sorted(filled)[0]} is there")
    for name in names:
        disk.remove(name)


def restore_member(path: Path, begin: int, records: Iterable[bytes]) -> None:
    """Into the log of a member of several, which votes then. If it is broken off, nobody takes that log for one.

    Raises `CannotRestore`, `LogDamaged`, `LogUnknown`, `LogInUse`, `LogFull`, `OSError`.
    """
    disk = Folder(path)
    journal = Journal.open(disk, alone=True, rng=random.SystemRandom())
    try:
        if journal.stored._replace(tail=()) not in (Stored(), Stored(status=Status.VOTING)):
            raise CannotRestore(f"{NOT_EMPTY}: {path}")
        disk.open(UNFINISHED).close()
        disk.sync()
        journal.append([Metadata(Status.EMPTY, 0, NOBODY), Begin(begin)])
        position = begin
        for group in _groups(records):
            journal.append([Wrote(_RESTORED, position, group)])
            position += len(group)
        journal.append([Known(position), Metadata(Status.VOTING, 0, _RESTORED)])
        disk.remove(UNFINISHED)
        disk.sync()
    finally:
        journal.close()


def _records(tables: Tables, now_ms: int, max_bytes: int) -> Iterator[bytes]:
    """What the log shall hold: one snapshot that replaces whatever was."""
    yield from entries.records(entries.SnapshotBegin(now_ms, replaces=True), max_bytes)
    count = 0
    with tables.frozen() as (tasks, rows):
        for part in every_part(tasks, rows):
            yield from entries.records(part, max_bytes)
            count += 1
    yield from entries.records(entries.SnapshotEnd(count, replaces=True), max_bytes)


def _groups(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    group: list[bytes] = []
    size = 0
    for record in records:
        group.append(record)
        size += len(record)
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
