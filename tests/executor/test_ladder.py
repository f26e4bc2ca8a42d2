import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from aurorad import procfs
from executor import ladder
from executor.checkpoint import ProcessState, ProcessStatus
from tests.executor.harness import alive, wait_until


@pytest.fixture
def daemon() -> Iterator[tuple[int, int]]:
    """Somebody's daemon, as daemons are: in a session of its own, whose leader has ended; both pids."""
    leader = subprocess.Popen(["sh", "-c", "sleep 100 & echo $!"], stdout=subprocess.PIPE, start_new_session=True)
    assert leader.stdout is not None
    pid = int(leader.stdout.readline())
    leader.stdout.close()
    leader.wait()
    yield leader.pid, pid
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def run(coordinator_pid: int, state: ProcessState) -> ProcessStatus:
    return ProcessStatus(process="p", state=state, coordinator_pid=coordinator_pid, fork_time=1.0)


def found(run: ProcessStatus) -> set[int]:
    return ladder.members(run, procfs.processes(), set(), just_ended=False)


def test_a_daemon_whose_session_has_the_number_of_a_coordinator_that_ended_long_ago_is_not_ours(
    daemon: tuple[int, int],
) -> None:
    leader, pid = daemon
    assert pid not in found(run(leader, ProcessState.SUCCESS))
    assert alive(pid)


def test_what_a_coordinator_that_just_died_left_in_its_session_is_killed(daemon: tuple[int, int]) -> None:
    leader, pid = daemon
    assert pid in found(run(leader, ProcessState.RUNNING))
    assert ladder.kill_run(run(leader, ProcessState.LOST))
    wait_until(lambda: not alive(pid), "the end of the straggler")
