"""What a journal's files tell, when it is opened; and what is done with damaged ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aurorad.log.disk import Disk
from aurorad.log.errors import LogDamaged
from aurorad.log.index import Place
from aurorad.log.sectors import Header
from aurorad.log.standing import Standing, State
from aurorad.log.walk import Ending, Head, Walk, name_of

FORGETFUL = "forgetful"
"""A file that is there as long as damage was found, yet the journal does not tell it."""


class Loaded(NamedTuple):
    """All of it is as it was written."""

    standing: Standing
    files: dict[int, Ending]
    previous: Header | None
    """Of the last batch; None if there is no file."""
    identity: bytes | None


class Damaged(Exception):
    """From the file `number` on, nothing is believed."""

    def __init__(self, number: int, damage: LogDamaged) -> None:
        self.number = number
        self.damage = damage


def load(disk: Disk, files: Sequence[int], *, all_of_them: bool = True) -> Loaded:
    """Read the files. Raises `Damaged` for the first damage, `LogUnknown` for what this version does not know."""
    walk = Walk(disk, files, _stop, all_of_them=all_of_them)
    standing = Standing(State())
    for file, offset, batch, content in walk:
        if isinstance(content, Head):
            if file == files[0]:
                standing = Standing(content.state)
            elif content.state != standing.state():
                walk.damaged(file, offset, "it does not begin where the file before ends")
            continue
        for number, record in enumerate(content):
            try:
                standing.apply(record, Place(file, offset, batch.header.checksum, number))
            except ValueError as error:
                walk.damaged(file, offset, str(error))
    missing = standing.index.missing()
    if missing is not None:
        walk.damaged(files[0], 0, f"files before it are missing, which have the positions {missing[0]} to {missing[1]}")
    return Loaded(standing, walk.endings, walk.previous, walk.identity)


def _stop(number: int, damage: LogDamaged) -> None:
    raise Damaged(number, damage)


def load_good(disk: Disk, files: Sequence[int], damaged: Damaged) -> Loaded:
    """What is in the files before any damage. The others are set aside, once it is noted that there was damage."""
    disk.open(FORGETFUL).close()
    disk.sync()
    while True:
        _set_aside(disk, [file for file in files if file >= damaged.number])
        files = [file for file in files if file < damaged.number]
        try:
            return load(disk, files, all_of_them=False)
        except Damaged as another:
            damaged = another


def _set_aside(disk: Disk, files: Sequence[int]) -> None:
    taken = set(disk.names())
    for file in files:
        aside = name_of(file) + ".damaged"
        times = 1
        while aside in taken:
            times += 1
            aside = f"{name_of(file)}.damaged-{times}"
        disk.rename(name_of(file), aside)
    disk.sync()
