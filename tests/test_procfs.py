from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aurorad import procfs


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A shell with a name that is hard to read, and a child."""
    script = "exec -a x bash -c 'printf \") R 1 (x\" > /proc/$$/comm; sleep 1000 & echo; wait'"
    started = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert started.stdout is not None
    started.stdout.readline()
    started.stdout.close()
    yield started
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def test_a_name_may_hold_anything(parent: subprocess.Popen[bytes]) -> None:
    found = procfs.info(parent.pid)
    assert found is not None
    assert (found.name, found.parent, found.group, found.session, found.threads) == (
        b") R 1 (x",
        os.getpid(),
        parent.pid,
        parent.pid,
        1,
    )
    assert not found.zombie


def test_a_tree_is_the_same_by_lists_of_children_and_by_looking_at_all(parent: subprocess.Popen[bytes]) -> None:
    by_lists = {process.pid for process in procfs.tree(os.getpid())}
    assert by_lists == procfs.descendants(os.getpid(), procfs.processes()) & by_lists
    assert len(by_lists) >= 2
    found = procfs.info(parent.pid)
    assert found is not None
    assert len(procfs.children(found)) == 1


def test_a_kernel_without_lists_of_children_has_trees_too(
    parent: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {process.pid for process in procfs.tree(parent.pid)}
    monkeypatch.setattr("os.path.exists", lambda path: not path.endswith("/children"))
    assert {process.pid for process in procfs.tree(parent.pid)} == whole


def test_children_of_any_thread_are_children() -> None:
    script = """
import os, subprocess, threading
threading.Thread(target=lambda: (subprocess.Popen(["sleep", "1000"]), print(flush=True), input())).start()
"""
    started = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert started.stdout is not None
    started.stdout.readline()
    assert [process.name for process in procfs.tree(started.pid)] == [b"sleep"]
    os.killpg(started.pid, signal.SIGKILL)
    started.communicate()


def test_no_signal_reaches_a_later_process_with_the_same_pid(parent: subprocess.Popen[bytes]) -> None:
    found = procfs.info(parent.pid)
    assert found is not None
    assert not procfs.send(found._replace(start_ticks=found.start_ticks - 1), signal.SIGKILL)
    assert parent.poll() is None
    assert procfs.send(found, signal.SIGKILL)
    assert parent.wait(10) == -signal.SIGKILL
    assert not procfs.send(found, signal.SIGKILL)
    assert procfs.info(parent.pid) is None
    assert procfs.children(found) == []


def test_the_start_of_a_process_is_told_in_the_clocks_time(parent: subprocess.Popen[bytes]) -> None:
    found = procfs.info(parent.pid)
    assert found is not None
    own = procfs.info(os.getpid())
    assert own is not None
    assert procfs.start_time_s(own) <= procfs.start_time_s(found)
    with open("/proc/stat", encoding="ascii") as file:
        (line,) = (line for line in file if line.startswith("btime "))
    assert abs(procfs.boot_time_s() - float(line.split()[1])) < 2
