import os
import signal
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from aurorad.engine.local.spawner import CannotStart, Request, Spawner
from tests.waiting import until

DEAF = (sys.executable, "-c", "import time; time.sleep(1000)")
LARGE = {"FILLER": "x" * 100_000}


async def test_a_launcher_that_dies_while_requests_wait_to_be_sent_fails_nobody_but_itself() -> None:
    spawner = Spawner(DEAF, {})
    failed: list[str] = []

    async def start(number: int) -> None:
        with pytest.raises(CannotStart) as failure:
            await spawner.start(Request(str(number), "/", "/nowhere", LARGE), timeout_s=1.0)
        failed.append(str(failure.value))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(spawner.run)
        while spawner.launcher_pid is None:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)
        async with trio.open_nursery() as requests:
            for number in range(10):
                requests.start_soon(start, number)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(spawner.launcher_pid, signal.SIGKILL)
        nursery.cancel_scope.cancel()
    assert failed == ["none after 1 s: the executor launcher ended with -9"] * 10


async def test_a_launcher_that_cannot_be_started_is_tried_again_and_requests_say_why(tmp_path: Path) -> None:
    program = tmp_path / "launcher"
    spawner = Spawner((str(program),), {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spawner.run)
        with pytest.raises(CannotStart, match=r"cannot be started: .*No such file") as failure:
            await spawner.start(Request("1", "/", "/nowhere"), timeout_s=0.2)
        assert "none after 0.2 s" in str(failure.value)
        program.symlink_to("/bin/cat")  # as if there were room for another process again
        await until(lambda: spawner.launcher_pid is not None)
        nursery.cancel_scope.cancel()
