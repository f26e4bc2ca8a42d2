"""``aurorad log initialize | inspect | verify``: what operators do with the files of a log."""

from __future__ import annotations

import json
import os
import random
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from aurorad.log import inspection
from aurorad.log.disk import Folder, ReadOnlyFolder
from aurorad.log.errors import LogDamaged, LogFull, LogInUse, LogNotEmpty, LogUnknown
from aurorad.log.inspection import Entry, Inspection
from aurorad.log.journal import initialize
from aurorad.log.messages import Configuration, Nop, Truncate, Value

FINE, WRONG, DAMAGED = 0, 1, 2
"""Exit statuses: as it shall be; the command could not be carried out; there is damage."""

_LOOKS = 3
"""A log in use can change while it is looked at: what looks like damage is looked at again."""


class Description(Protocol):
    """What an entry is. `str` of it is for lines."""

    @property
    def kind(self) -> str: ...

    @property
    def counts(self) -> Mapping[str, int | str]: ...


Describe = Callable[[int, bytes], Description]
"""What the entry at a position is; entries are told in their order. Raises `ValueError` for what cannot be read."""


def main(arguments: Sequence[str], describer: Callable[[], Describe]) -> int:
    """Carry out the command; the exit status."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.command(given, describer)
        sys.stdout.flush()
    except BrokenPipeError:  # nobody wants to read on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except (LogDamaged, LogFull, LogInUse, LogNotEmpty, LogUnknown, OSError) as error:
        print(f"aurorad log {given.name}: {error}", file=sys.stderr)
        return WRONG
    return status


def _parser() -> ArgumentParser:
    parser = ArgumentParser("aurorad log", description="Look after the files of a log.", allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="name")
    for name, command, meaning in (
        ("initialize", _initialize, "let the empty log of a new cluster's member vote"),
        ("inspect", _inspect, "list what is in a log, also while it is in use; nothing is changed"),
        ("verify", _verify, "read all of a log and tell what is damaged, and where; nothing is changed"),
    ):
        one = commands.add_parser(name, help=meaning, description=meaning.capitalize(), allow_abbrev=False)
        one.add_argument("--path", type=Path, required=True, metavar="FOLDER", help="-native_log_file_path of aurorad")
        one.set_defaults(command=command)
        if command is not _initialize:
            one.add_argument("--json", action="store_true", help="one JSON object a line")
        if command is _inspect:
            one.add_argument("--first", type=int, default=0, metavar="POSITION", help="list entries from this one on")
            one.add_argument("--count", type=int, metavar="N", help="list so many entries at most")
    commands.add_parser("restore", help="restore a backup into a new log: `aurorad log restore --help`")
    return parser


def _initialize(given: Namespace, _: Callable[[], Describe]) -> int:
    initialize(Folder(given.path), random.SystemRandom())
    print(f"{given.path} is initialized: its member votes. Members that are added later must stay empty.")
    return FINE


def _inspect(given: Namespace, describer: Callable[[], Describe]) -> int:
    with closing(ReadOnlyFolder(given.path)) as disk:
        found = _look(disk)
        _print_facts(found, disk.is_in_use(), given.json)
        describe = describer()
        left = given.count
        for entry in found.entries():
            told = _told(entry, describe)
            if entry.position < given.first:
                continue
            if left is not None and left <= 0:
                break
            left = None if left is None else left - 1
            print(json.dumps(told) if given.json else _line(told))
        return _verdict(found, [], given.json)


def _verify(given: Namespace, describer: Callable[[], Describe]) -> int:
    with closing(ReadOnlyFolder(given.path)) as disk:
        found = _look(disk)
        _print_facts(found, disk.is_in_use(), given.json)
        describe = describer()
        unreadable = []
        entries = 0
        for entry in found.entries():
            entries += 1
            if "unreadable" in (told := _told(entry, describe)):
                unreadable.append(str(told["unreadable"]))
        status = _verdict(found, unreadable, given.json)
        if status == FINE and not given.json:
            print(f"all {entries} entries are as they were written")
        return status


def _look(disk: ReadOnlyFolder) -> Inspection:
    for _ in range(_LOOKS):
        try:
            found = inspection.inspect(disk)
        except FileNotFoundError:  # removed meanwhile
            continue
        if not found.damages or not disk.is_in_use():
            return found
    return inspection.inspect(disk)


def _told(entry: Entry, describe: Describe) -> dict[str, object]:
    told: dict[str, object] = {"position": entry.position, "learned": entry.is_learned}
    if entry.proposal is not None:
        told["proposal"] = list(entry.proposal)
    if not isinstance(entry.value, bytes):
        return told | _own(entry.value)
    told["bytes"] = len(entry.value)
    try:
        description = describe(entry.position, entry.value)
    except ValueError as error:
        return told | {"kind": "unreadable", "unreadable": str(error)}
    return told | {"kind": description.kind, "counts": dict(description.counts)}


def _own(value: Value) -> dict[str, object]:
    match value:
        case Nop():
            return {"kind": "nop"}
        case Truncate():
            return {"kind": "truncate", "counts": {"to": value.to}}
        case Configuration():
            members = {str(member): address for member, address in value.members}
            return {"kind": "configuration", "cluster": value.cluster, "quorum": value.quorum, "members": members}
        case bytes():
            raise AssertionError("it is no value of the log's own")


def _line(told: Mapping[str, object]) -> str:
    details = told.get("counts") or {
        name: told[name] for name in ("cluster", "quorum", "members", "unreadable") if name in told
    }
    assert isinstance(details, Mapping)
    size = f"{told['bytes']:>9} B" if "bytes" in told else " " * 11
    words = ", ".join(f"{name} {_plain(value)}" for name, value in details.items())
    kind = f"{told['kind']}: {words}" if words else str(told["kind"])
    return f"{told['position']:>12} {size}  {kind}{'' if told['learned'] else '  (not known to be chosen)'}"


def _plain(value: object) -> str:
    match value:
        case dict():
            return " ".join(f"{key}@{address}" for key, address in value.items())
        case list():
            return ".".join(map(str, value))
    return str(value)


def _print_facts(found: Inspection, in_use: bool, as_json: bool) -> None:
    facts = {name: value for name, value in found.facts.items() if value is not None} | {"in_use": in_use}
    if as_json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        print(f"{name}: {_plain(value)}")


def _verdict(found: Inspection, unreadable: Sequence[str], as_json: bool) -> int:
    """Say what is wrong at the very end, when all was read."""
    for note in found.notes:
        print(json.dumps({"note": note}) if as_json else f"note: {note}")
    damages = [*map(str, found.damages), *unreadable]
    for damage in damages:
        print(json.dumps({"damage": damage}) if as_json else f"DAMAGE: {damage}")
    return DAMAGED if damages else FINE
