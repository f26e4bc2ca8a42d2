import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from aurorad.engine.local.processes import Identity, end_all, identity_of, lives, wait_for_end

Start = list[subprocess.Popen[bytes]]


@pytest.fixture
def started() -> Iterator[Start]:
    started: Start = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def sleep(started: Start, cwd: Path, environment: dict[str, str], *, session: bool = True) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["sleep", "1000"], cwd=cwd, env=environment, start_new_session=session)
    started.append(process)
    return process


def test_a_process_is_more_than_its_pid() -> None:
    own = identity_of(os.getpid())
    assert lives(own)
    assert not lives(Identity(own.pid, own.start_ticks + 1, own.boot_id))
    assert not lives(Identity(own.pid, own.start_ticks, "another boot"))


async def test_a_process_that_ended_is_not_waited_for(started: Start, tmp_path: Path) -> None:
    process = sleep(started, tmp_path, {})
    found = identity_of(process.pid)
    process.kill()
    with trio.fail_after(10):
        await wait_for_end(found)  # it is a zombie until waited for
        assert not lives(found)
        process.wait()
        await wait_for_end(found)


def test_all_that_belong_to_a_run_are_ended_and_no_one_else(started: Start, tmp_path: Path) -> None:
    by_home = sleep(started, tmp_path, {"HOME": "/runs/run-1/sandbox"})
    by_launcher = sleep(started, tmp_path, {"AURORAD_AGENT": "a-1"})
    other_run = sleep(started, tmp_path, {"HOME": "/runs/run-2/sandbox"})
    other_place = sleep(started, Path("/"), {"AURORAD_AGENT": "a-1"})
    somebody_looking = sleep(started, tmp_path, {})
    executor = sleep(started, Path("/"), {})
    assert end_all(identity_of(executor.pid), "run-1", "AURORAD_AGENT=a-1", tmp_path) == 3
    assert [process.wait(10) for process in (by_home, by_launcher, executor)] == [-9, -9, -9]
    assert [process.poll() for process in (other_run, other_place, somebody_looking)] == [None, None, None]


def test_what_a_member_started_is_ended_even_if_it_hides_its_environment(started: Start, tmp_path: Path) -> None:
    script = "env -i sleep 1000 & env -i setsid sleep 1000 & echo; wait"
    parent = subprocess.Popen(
        ["sh", "-c", script],
        env={"HOME": "run-1", "PATH": os.environ["PATH"]},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    started.append(parent)
    assert parent.stdout is not None
    parent.stdout.readline()
    parent.stdout.close()
    assert end_all(None, "run-1", "AURORAD_AGENT=a-1", tmp_path) == 3
    assert end_all(None, "run-1", "AURORAD_AGENT=a-1", tmp_path) == 0
