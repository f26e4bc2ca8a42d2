"""A command beside the task's processes (executor sheet, section 9)."""

from __future__ import annotations

import os
from pathlib import Path

import trio

from aurorad import procfs
from executor.sandbox import User, current_user
from executor.shell import run_shell
from tests.executor.harness import alive, root_only, wait_until


async def check(command: str, directory: Path, timeout_s: float = 10.0, user: User | None = None) -> str | None:
    own = procfs.info(os.getpid())
    assert own is not None
    before = set(procfs.children(own))  # a ZooKeeper for other tests, maybe
    try:
        return await run_shell(command, ("/bin/bash", "-c", command), user or current_user(), directory, timeout_s)
    finally:
        # The runner would reap it.
        wait_until(lambda: not procfs.reap() or set(procfs.children(own)) <= before, "the end of the one in between")


def left_in(directory: Path) -> list[int]:
    found = []
    for pid in procfs.processes():
        try:
            if os.readlink(f"/proc/{pid}/cwd") == str(directory) and alive(pid):
                found.append(pid)
        except OSError:
            continue
    return found


async def test_success_is_no_reason(tmp_path: Path) -> None:
    assert await check("pwd > here", tmp_path) is None
    assert (tmp_path / "here").read_text().strip() == str(tmp_path)


async def test_a_failure_is_told_with_its_output(tmp_path: Path) -> None:
    reason = await check("echo out; echo err >&2; exit 3", tmp_path)
    assert reason == (
        "Command 'echo out; echo err >&2; exit 3' returned non-zero exit status 3 with output 'out\nerr\n'"
    )


async def test_an_end_by_a_signal_is_a_negative_status(tmp_path: Path) -> None:
    reason = await check("kill -9 $$", tmp_path)
    assert reason == "Command 'kill -9 $$' returned non-zero exit status -9 with output ''"


async def test_of_much_output_the_end_is_kept(tmp_path: Path) -> None:
    reason = await check("head -c 300000 /dev/zero | tr '\\0' x; echo END; false", tmp_path)
    assert reason is not None
    assert reason.endswith("xEND\n'")
    assert len(reason) < 1200


async def test_output_without_end_takes_no_memory_and_ends_with_the_time(tmp_path: Path) -> None:
    assert await check("yes", tmp_path, timeout_s=0.2) == "Health check timed out."
    wait_until(lambda: not left_in(tmp_path), "the end of all of it")


async def test_of_a_late_one_nothing_is_left(tmp_path: Path) -> None:
    daemon = "(setsid sleep 1000 &) ; setsid bash -c 'trap : TERM; while :; do sleep 1000; done' & touch up; sleep 1000"
    assert await check(daemon, tmp_path, timeout_s=0.5) == "Health check timed out."
    assert (tmp_path / "up").exists()
    wait_until(lambda: not left_in(tmp_path), "the end of all of it")


async def test_of_one_that_is_over_nothing_is_left(tmp_path: Path) -> None:
    assert await check("sleep 1000 & (setsid sleep 1000 &) ; true", tmp_path) is None
    assert left_in(tmp_path) == []


async def test_of_a_cancelled_one_nothing_is_left(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:

        async def cancel_once_up() -> None:
            while not (tmp_path / "up").exists():  # noqa: ASYNC110
                await trio.sleep(0.01)
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_once_up)
            await check("touch up; sleep 1000", tmp_path)
    assert scope.cancelled_caught
    wait_until(lambda: not left_in(tmp_path), "the end of all of it")


async def test_what_cannot_be_started_is_a_reason(tmp_path: Path) -> None:
    reason = await check("true", tmp_path / "none")
    assert reason == f"OSError: [Errno 2] No such file or directory: '{tmp_path / 'none'}'"


async def test_a_command_that_no_shell_can_be_given_is_a_reason(tmp_path: Path) -> None:
    assert await check("true\0", tmp_path) == "Invalid command."


@root_only
async def test_it_runs_as_its_user(tmp_path: Path) -> None:
    nobody = User("nobody", 65534, 65534, (65534,), drop=True)
    reason = await check("id -u; id -g; id -G; exit 1", tmp_path, user=nobody)
    assert reason is not None
    assert reason.endswith("with output '65534\n65534\n65534\n'")
