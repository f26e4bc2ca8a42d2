"""What disks do to files."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from pathlib import Path


def newest(log: Path) -> Path:
    """The file of a log that was written to last and has something."""
    return max(written(log), key=lambda path: path.stat().st_mtime_ns)


def written(log: Path) -> list[Path]:
    """The files of a log that have something."""
    files = [path for path in sorted(log.iterdir()) if path.suffix == ".journal"]
    return [path for path in files if path.read_bytes().strip(b"\0")]


def flip_a_bit(file: Path) -> None:
    """In the middle of what was written there: what is allocated is zeros."""
    _flip(file, [len(file.read_bytes().rstrip(b"\0")) // 2])


def flip_some_bits(file: Path, rng: random.Random) -> None:
    """One near the beginning, one near the end, some between."""
    used = len(file.read_bytes().rstrip(b"\0"))
    _flip(file, [rng.randrange(64), used - 1 - rng.randrange(64), *(rng.randrange(used) for _ in range(3))])


def flip_everywhere(file: Path) -> None:
    """In each sector that was written."""
    _flip(file, range(300, len(file.read_bytes().rstrip(b"\0")), 512))


def damage_every_page(database: Path) -> None:
    """Of a database, but the first, without which it is none at all."""
    _flip(database, range(4096 + 200, database.stat().st_size, 4096))


def empty(folder: Path) -> None:
    """It is there, and nothing in it."""
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)


def _flip(file: Path, places: Iterable[int]) -> None:
    with file.open("r+b") as open_file:  # in place: who uses it sees it
        content = open_file.read()
        for at in places:
            open_file.seek(at)
            open_file.write(bytes([content[at] ^ 0x10]))
