"""The daemon in surroundings as supervisors make them: without streams, with limits, with others before it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from pathlib import Path

import pytest

from aurorad.api.calls import CreateJob
from aurorad.api.enums import ResponseCode
from tests.e2e.cluster import eventually
from tests.e2e.jobs import call, shell_job
from tests.supervisors.installed import BARE, Installed

READY = "aurorad: ready"


def started(
    installed: Installed, shell: str = 'exec "$0"', *flags: str, cwd: Path = Path("/")
) -> subprocess.Popen[str]:
    """By a shell that puts things in order before; its stdout and stderr are in `out` and `err`."""
    with (installed.folder / "out").open("a") as out, (installed.folder / "err").open("a") as err:
        return subprocess.Popen(
            ["sh", "-c", shell, installed.wrapper, *flags], stdout=out, stderr=err, text=True, env=BARE, cwd=cwd
        )


def ended(process: subprocess.Popen[str], how: signal.Signals = signal.SIGTERM) -> int:
    process.send_signal(how)
    return process.wait(60)


def text(installed: Installed, name: str) -> str:
    return (installed.folder / name).read_text()


@pytest.mark.parametrize(
    "shell",
    [
        'exec "$0" <&-',
        'exec "$0" >&-',
        'exec "$0" 2>&-',
        'exec "$0" <&- >&- 2>&-',
        'exec "$0" >/dev/full',
        'exec "$0" 2>/dev/full',
        'mkfifo gone; exec 3<>gone 4>gone; exec 3<&-; exec "$0" >&4',  # a pipe that nobody reads any more
    ],
)
def test_it_serves_and_stops_in_order_whatever_became_of_its_streams(shell: str, folder: Path) -> None:
    installed = Installed(folder)
    process = started(installed, shell, cwd=folder)
    try:
        eventually("it is well", lambda: installed.is_well, 60)
        streams = [Path(f"/proc/{process.pid}/fd/{number}").readlink() for number in range(3)]
        assert not [stream for stream in streams if installed.work_dir in stream.parents]
    finally:
        assert ended(process) == 0
    assert "Traceback" not in text(installed, "err")


def test_what_it_keeps_is_for_nobody_else_whatever_the_umask(folder: Path) -> None:
    """Not even the file that it locks: who can open that can keep it from starting."""
    installed = Installed(folder)
    process = started(installed, 'umask 0; exec "$0"')
    eventually("it is well", lambda: installed.is_well, 60)
    assert ended(process) == 0
    files = [path for path in installed.work_dir.rglob("*") if path.is_file()]
    assert installed.work_dir / "agent" / "lock" in files
    assert [path for path in files if path.stat().st_mode & 0o077] == []


def test_a_second_one_is_told_that_there_is_one_and_may_be_tried_again(folder: Path) -> None:
    installed = Installed(folder)
    first = started(installed)
    try:
        eventually("it is well", lambda: installed.is_well, 60)
        same_port = started(installed)
        assert same_port.wait(60) == 75
        assert "Address already in use; stop who uses it (another aurorad?)" in text(installed, "err")
        flags = installed.folder / "flags"
        flags.write_text(flags.read_text().replace(f"http_port={installed.port}", "http_port=0"))
        same_folder = started(installed)
        assert same_folder.wait(60) == 75
        assert f"{installed.work_dir / 'log'} is in use by another aurorad: stop that one" in text(installed, "err")
        assert installed.is_well
    finally:
        assert ended(first) == 0


def test_one_that_starts_while_another_ends_takes_its_place_in_time(folder: Path) -> None:
    """As supervisors do that do not wait: what cannot start yet ends with 75, and is tried again."""
    installed = Installed(folder)
    first = started(installed)
    eventually("it is well", lambda: installed.is_well, 60)
    first.send_signal(signal.SIGTERM)
    tried = [started(installed)]

    def serves() -> bool:
        if first.poll() is None or (tried[-1].poll() is None and not installed.is_well):
            return False
        if tried[-1].poll() is not None:
            tried.append(started(installed))
            return False
        return True

    eventually("one of them serves", serves, 60)
    *before, next_ = tried
    assert {process.returncode for process in before} <= {75}
    assert first.wait() == 0
    assert ended(next_) == 0


def test_one_that_was_killed_leaves_nothing_that_keeps_the_next_from_starting(folder: Path) -> None:
    """Neither its locks nor its sockets; its launcher and executors go on."""
    installed = Installed(folder)
    for _ in range(2):
        process = started(installed)
        eventually("it is well", lambda: installed.is_well, 60)
        assert ended(process, signal.SIGKILL) == -signal.SIGKILL
    process = started(installed)
    eventually("it is well", lambda: installed.is_well, 60)
    assert ended(process) == 0


def test_too_few_open_files_are_told_at_once(folder: Path) -> None:
    installed = Installed(folder)
    assert started(installed, 'ulimit -n 40; exec "$0"').wait(60) == 1
    assert "this process may have 40 files open (ulimit -n); at least 64 were expected" in text(installed, "err")
    assert not installed.work_dir.exists()


def test_it_starts_in_a_folder_that_is_gone(folder: Path) -> None:
    installed = Installed(folder)
    (folder / "passing").mkdir()
    process = started(installed, 'rmdir "$PWD"; exec "$0"', cwd=folder / "passing")
    eventually("it is well", lambda: installed.is_well, 60)
    assert ended(process) == 0


def test_a_lock_file_of_before_is_closed_to_others(folder: Path) -> None:
    installed = Installed(folder)
    (installed.work_dir / "agent").mkdir(parents=True)
    lock = installed.work_dir / "agent" / "lock"
    lock.touch(0o644)
    process = started(installed)
    eventually("it is well", lambda: installed.is_well, 60)
    assert lock.stat().st_mode & 0o777 == 0o600
    with lock.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert ended(process) == 0


def test_it_goes_on_and_ends_while_nobody_reads_its_log(folder: Path) -> None:
    """As under a supervisor that is stopped: a pipe holds 64 KiB."""
    installed = Installed(folder)
    reader, writer = os.pipe()
    process = subprocess.Popen([installed.wrapper], stdout=writer, stderr=writer, env=BARE, cwd="/")
    try:
        eventually("it is well", lambda: installed.is_well, 60)
        for number in range(200):  # each is logged with more than 600 bytes
            made = CreateJob(shell_job(f"j{number}", "true", cpus=1000.0))
            assert call(installed, made).response_code is ResponseCode.OK
        assert installed.is_well
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        os.close(reader)
        os.close(writer)
