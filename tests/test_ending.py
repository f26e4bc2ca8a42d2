from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable

import pytest

from aurorad import procfs
from aurorad.ending import KEEPER, end_all
from aurorad.procfs import ProcessInfo


def drive(look: Callable[[], Iterable[ProcessInfo | None]], parents: Callable[[], list[int]] = list) -> int:
    ending = end_all(look, parents)
    while True:
        try:
            time.sleep(next(ending))
        except StopIteration as end:
            count: int = end.value
            return count


def start(script: str) -> subprocess.Popen[bytes]:
    started = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert started.stdout is not None
    started.stdout.readline()
    started.stdout.close()
    return started


def test_nothing_to_end_is_found_at_once() -> None:
    assert list(end_all(lambda: [None, None])) == []


def test_a_tree_is_ended_and_counted() -> None:
    root = start("sleep 1000 & sleep 1000 & echo; wait")
    assert drive(lambda: procfs.tree(root.pid)) == 2
    assert root.wait(10) == 0


def test_all_are_stopped_before_the_first_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    root = start("sleep 1000 & sleep 1000 & echo; wait")
    sent: list[tuple[int, signal.Signals]] = []
    send = procfs.send

    def note(process: ProcessInfo, number: signal.Signals) -> bool:
        sent.append((process.pid, number))
        return send(process, number)

    monkeypatch.setattr("aurorad.procfs.send", note)
    drive(lambda: family(root.pid))
    assert root.wait(10) == -signal.SIGKILL
    numbers = [number for _, number in sent]
    assert numbers[:3] == [signal.SIGSTOP] * 3
    assert numbers[3:6] == [signal.SIGKILL] * 3
    assert {pid for pid, _ in sent[:3]} == {pid for pid, _ in sent[3:6]}


def test_who_is_spared_is_not_ended_with_its_siblings() -> None:
    helper, child = start("echo; exec sleep 1000"), start("echo; exec sleep 1000")
    ending = end_all(lambda: family(child.pid), lambda: [os.getpid()], spared={helper.pid})
    for pause_s in ending:
        time.sleep(pause_s)
    assert (child.poll() is None, helper.poll()) == (False, None)
    helper.kill()
    helper.wait()


def test_a_keeper_ends_last_so_that_what_is_left_to_it_cannot_escape() -> None:
    keeper = start(f"printf {KEEPER.decode()} > /proc/$$/comm; sleep 1000 & echo; wait")
    while [one.name for one in family(keeper.pid)] != [KEEPER, b"sleep"]:  # a fork begins with its parent's name
        time.sleep(0.001)
    order: list[list[bytes]] = []

    def look() -> list[ProcessInfo]:
        found = family(keeper.pid)
        if [one.name for one in found] not in order:
            order.append([one.name for one in found])
        return found

    assert drive(look) == 1  # itself does not count
    assert order == [[KEEPER, b"sleep"], [KEEPER], []]
    assert keeper.wait(10) == -signal.SIGKILL


def family(pid: int) -> list[ProcessInfo]:
    """A process and its children, as far as they are alive."""
    found = procfs.info(pid)
    if found is None or found.zombie:
        return []
    return [found, *(one for one in procfs.processes(procfs.children(found)).values() if not one.zombie)]


def test_an_own_child_that_no_look_shows_is_ended_all_the_same() -> None:
    """In a fork, which has no other children: all of them are ended."""
    pid = os.fork()
    if pid == 0:
        try:
            if os.fork() == 0:
                signal.pause()
            drive(list, lambda: [os.getpid()])
            os._exit(0 if not procfs.reap() and signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
