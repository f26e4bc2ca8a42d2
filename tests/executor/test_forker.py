"""Coordinators that are forked by a process beside the executor."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from aurorad import procfs
from executor import forker as module
from executor.checkpoint import ProcessState, StreamHeld, StreamWriter, read_stream
from executor.environment import Place
from executor.forker import Forker, forking
from executor.logger import LoggerSettings
from executor.process import Coordinator, Launch
from executor.sandbox import current_user


@pytest.fixture
def subreaper() -> Iterator[None]:
    """Only for a test's time: orphans that nobody waits for are there for ever, to others that wait for their end."""
    procfs.become_subreaper()
    yield
    procfs._prctl(procfs._PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def forker(subreaper: None) -> Iterator[Forker]:
    with forking() as forker:
        yield forker


@pytest.fixture
def stream(tmp_path: Path) -> StreamWriter:
    return StreamWriter(tmp_path / "coordinator.p")


def launch(directory: Path, cmdline: str = "exit 3", **environment: str) -> Launch:
    place = Place.of(current_user(), directory)
    return Launch("p", cmdline, place, environment, Path("logs"), LoggerSettings("none"))


def states(coordinator: Coordinator, stream: StreamWriter) -> list[tuple[int, ProcessState, int | None]]:
    """What it has put on record in the end."""
    stream.close()
    coordinator.release()
    assert has_ended(coordinator.pidfd)
    os.close(coordinator.pidfd)
    os.close(coordinator.pipe)
    statuses = [record.process_status for record in read_stream(stream.path)]
    return [(status.seq, status.state, status.return_code) for status in statuses if status is not None]


ALL_WELL = [(8, ProcessState.RUNNING, None), (9, ProcessState.FAILED, 3)]


def has_ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 10.0)[0])


def test_coordinators_are_its_children_and_leave_no_zombies(
    forker: Forker, stream: StreamWriter, tmp_path: Path
) -> None:
    coordinator = forker.fork(launch(tmp_path), stream, 7)
    of_forker = procfs.info(forker.pid)
    assert of_forker is not None
    assert procfs.children(of_forker) == [coordinator.pid]
    assert states(coordinator, stream) == ALL_WELL
    assert procfs.children(of_forker) == []


def test_a_coordinator_holds_its_stream_which_we_have_locked(
    forker: Forker, stream: StreamWriter, tmp_path: Path
) -> None:
    coordinator = forker.fork(launch(tmp_path), stream, 7)
    stream.close()
    with pytest.raises(StreamHeld):
        StreamWriter(stream.path)
    pidfd = os.dup(coordinator.pidfd)
    coordinator.abandon()
    assert has_ended(pidfd)
    os.close(pidfd)
    StreamWriter(stream.path).close()
    assert read_stream(stream.path) == []


def test_a_command_has_only_three_open_files(forker: Forker, stream: StreamWriter, tmp_path: Path) -> None:
    order = launch(tmp_path, "readlink /proc/$$/fd/* > files; exit 3")
    assert states(forker.fork(order, stream, 7), stream) == ALL_WELL
    assert (tmp_path / "files").read_text().split() == [os.devnull] * 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_it_we_fork_ourselves(
    forker: Forker, stream: StreamWriter, tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWER_LIMIT_S", 0.1)
    os.kill(forker.pid, number)
    assert states(forker.fork(launch(tmp_path), stream, 7), stream) == ALL_WELL
    assert has_ended(forker.pidfd)


def test_what_is_too_long_for_it_we_fork_ourselves(forker: Forker, stream: StreamWriter, tmp_path: Path) -> None:
    order = launch(tmp_path, 'test -n "$LONG" && exit 3', LONG="x" * (100 << 10), LONGER="x" * (100 << 10))
    long = launch(tmp_path, **{f"V{number}": "x" * (100 << 10) for number in range(10)})
    assert states(forker.fork(order, stream, 7), stream) == ALL_WELL
    assert states(forker.fork(long, stream := StreamWriter(tmp_path / "coordinator.q"), 7), stream) == ALL_WELL


def test_dismissed_it_ends_and_its_coordinators_stay(forker: Forker, stream: StreamWriter, tmp_path: Path) -> None:
    coordinator = forker.fork(launch(tmp_path), stream, 7)
    forker.dismiss()
    assert has_ended(forker.pidfd)
    assert states(coordinator, stream) == ALL_WELL


def test_it_ends_with_us_even_if_we_are_killed(subreaper: None) -> None:
    read, write = os.pipe()
    executor = os.fork()
    if executor == 0:
        with forking() as forker:
            os.write(write, b"%d" % forker.pid)
            signal.pause()
    pidfd = os.pidfd_open(int(os.read(read, 20)))
    os.kill(executor, signal.SIGKILL)
    os.waitpid(executor, 0)
    assert has_ended(pidfd)
    for fd in (read, write, pidfd):
        os.close(fd)
