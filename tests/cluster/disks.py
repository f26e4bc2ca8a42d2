"""Disks that fill up or fail: file systems in files, for root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Disk:
    """Mounted at `path`, within the block that `disk` is."""

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path
        self._image = path.with_name(path.name + ".image")
        path.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(megabytes << 20)
        _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.path))

    def unmount(self) -> None:
        _run("umount", str(self.path))

    def fill(self) -> None:
        """Not a byte more is to be had."""
        size, used = 1 << 30, 0
        with (self.path / "filler").open("wb") as filler:
            while size:
                try:
                    os.posix_fallocate(filler.fileno(), used, size)
                    used += size
                except OSError:
                    size //= 2
            os.fsync(filler.fileno())

    def make_room(self) -> None:
        (self.path / "filler").unlink()

    def fail(self) -> None:
        """As the kernel does when it cannot write: whatever is open can be read, and nothing written any more."""
        _run("mount", "-o", "remount,abort", str(self.path))

    def repair(self) -> None:
        """Nobody may use it meanwhile."""
        self.unmount()
        subprocess.run(["e2fsck", "-p", str(self._image)], check=False, capture_output=True)
        self.mount()


@contextmanager
def disk(path: Path, megabytes: int) -> Iterator[Disk]:
    made = Disk(path, megabytes)
    try:
        yield made
    finally:
        made.unmount()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
