from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aurorad.log.disk import Folder
from aurorad.log.errors import LogFull, LogInUse
from aurorad.log.segments import Segments
from tests.log.small_disk import small_disk


def test_the_folder_and_its_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a" / "log")
    folder.open("x")
    assert (tmp_path / "a" / "log").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "log" / "x").stat().st_mode & 0o777 == 0o600
    folder.close()


def test_a_folder_is_held_by_one_and_let_go_on_close(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(LogInUse, match=f"^{tmp_path} is in use by another aurorad: "):
        Folder(tmp_path)
    folder.close()
    Folder(tmp_path).close()


def test_a_folder_is_let_go_when_its_process_is_killed_though_its_children_live(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, subprocess, sys, time; from aurorad.log.disk import Folder\n"
            "folder = Folder(pathlib.Path(sys.argv[1]))\n"
            "child = subprocess.Popen(['sleep', '60'])\n"
            "print(child.pid, flush=True); time.sleep(60)",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(LogInUse):
            Folder(tmp_path)
        holder.kill()
        holder.wait()
        Folder(tmp_path).close()
    finally:
        os.kill(child, 9)
        holder.stdout.close()


def test_a_path_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    with pytest.raises(FileExistsError):
        Folder(tmp_path / "log")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel writes what fits and then says that there is no room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_the_kernel_does_in_part_leaves_nothing(tmp_path: Path) -> None:
    log = Segments(Folder(tmp_path))
    log.append([b"kept"])
    (file,) = tmp_path.iterdir()
    size = file.stat().st_size
    with largest_file(1000), pytest.raises(LogFull, match=f"{file}: File too large"):
        log.append([b"x" * 5000])
    assert file.stat().st_size == size
    log.append([b"next"])
    log.close()
    again = Segments(Folder(tmp_path))
    assert [entry for some in again.read(0) for _, entry in some] == [b"kept", b"next"]
    again.close()


def test_a_disk_that_is_full_refuses_until_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m"):
        log = Segments(Folder(tmp_path / "log"))
        entries = [b"%d" % number * 10_000 for number in range(100)]
        taken = _append_until_full(log, entries)
        assert 0 < taken < 100
        log.close()
        log = Segments(Folder(tmp_path / "log"))
        assert [entry for some in log.read(0) for _, entry in some] == entries[:taken]
        log.close()


def _append_until_full(log: Segments, entries: list[bytes]) -> int:
    """How many the log took."""
    for taken, entry in enumerate(entries):
        try:
            log.append([entry])
        except LogFull:
            return taken
    return len(entries)
