"""Real disks for schedulers, that are small or break. For root alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.schedulers import Scheduler

_MB = 1 << 20


class SmallDisk:
    """Holds all that a scheduler keeps."""

    def __init__(self, where: Path) -> None:
        self._where = where

    def grow(self, megabytes: int) -> None:
        _run("mount", "-o", f"remount,size={megabytes}m", self._where)

    def shrink(self) -> None:
        """No room is left for anybody."""
        usage = shutil.disk_usage(self._where)
        _run("mount", "-o", f"remount,size={usage.used}", self._where)


@contextmanager
def on_a_small_disk(one: Scheduler, megabytes: int) -> Iterator[SmallDisk]:
    """It moves there with all it has, and back in the end."""
    with _elsewhere(one, lambda: _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none", one.disk)):
        yield SmallDisk(one.disk)


class FailingDisk:
    """An ext4 that is mounted as most are: after an error it can only be read."""

    def __init__(self, image: Path, where: Path) -> None:
        self._image = image
        self._where = where

    def mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", self._image, self._where)

    def fail(self) -> None:
        source = _run("findmnt", "--noheadings", "--output", "SOURCE", self._where).strip()
        (Path("/sys/fs/ext4") / Path(source).name / "trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """Nobody may use it meanwhile."""
        _run("umount", self._where)
        subprocess.run(["e2fsck", "-fy", self._image], capture_output=True)  # 1: errors were corrected
        self.mount()


@contextmanager
def on_a_failing_disk(one: Scheduler) -> Iterator[FailingDisk]:
    """It moves there with all it has, and back in the end."""
    image = one.folder / "image"
    with image.open("wb") as file:
        file.truncate(128 * _MB)
    _run("mkfs.ext4", "-q", image)
    disk = FailingDisk(image, one.disk)
    with _elsewhere(one, disk.mount):
        yield disk


@contextmanager
def _elsewhere(one: Scheduler, mount: Callable[[], object]) -> Iterator[None]:
    kept = one.folder / "kept"
    one.stop()
    shutil.copytree(one.disk, kept)
    mount()
    try:
        _replace(kept, one.disk)
        one.start()
        yield
        one.stop()
        shutil.rmtree(kept)
        shutil.copytree(one.disk, kept)
    finally:
        _run("umount", "--lazy", one.disk)
    _replace(kept, one.disk)
    one.start()


def _replace(source: Path, target: Path) -> None:
    for old in target.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(source, target, dirs_exist_ok=True)


def _run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
