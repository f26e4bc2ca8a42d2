import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trio
import trio.testing

from aurorad.observer import observer as module
from aurorad.observer import views
from aurorad.observer.observer import Observer
from aurorad.observer.sampling import Sample, Sampler, disk_used
from aurorad.observer.walk import place_at
from executor.checkpoint import ProcessStatus, RunnerCkpt, TaskState, encode_frame
from tests.observer.host import RAN, RUNNING, P, failed_task, running_task


async def test_the_story_of_a_task_is_read_on_as_it_grows(tmp_path: Path) -> None:
    task, observer = running_task(tmp_path), Observer([tmp_path])
    view = await observer.task("t2")
    assert view is not None
    assert views.classified(view)["running"] == ["hello_world"]
    task.process("hello_world", P.SUCCESS).finish(TaskState.CLEANING, TaskState.FINALIZING, TaskState.SUCCESS)
    view = await observer.task("t2")
    assert view is not None
    assert views.state_name(view.state) == "SUCCESS"
    assert views.classified(view)["success"] == ["fetch_package", "hello_world"]


async def test_half_a_record_waits_for_its_rest(tmp_path: Path) -> None:
    task, observer = running_task(tmp_path), Observer([tmp_path])
    frame = encode_frame(RunnerCkpt(process_status=ProcessStatus(3, "hello_world", P.SUCCESS, stop_time=1.0)))
    with task.paths.runner.open("ab") as stream:
        stream.write(frame[:-7])
        stream.flush()
        view = await observer.task("t2")
        assert view is not None
        assert view.state.processes["hello_world"][-1].state is P.RUNNING
        stream.write(frame[-7:])
    view = await observer.task("t2")
    assert view is not None
    assert view.state.processes["hello_world"][-1].state is P.SUCCESS


async def test_a_damaged_stream_keeps_what_was_read_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task, observer = running_task(tmp_path), Observer([tmp_path])
    assert await observer.task("t2") is not None
    with task.paths.runner.open("ab") as stream:
        stream.write(b"\xff" * 20)
    for _ in range(3):
        view = await observer.task("t2")
        assert view is not None
        assert views.state_name(view.state) == "ACTIVE"
    assert [record.message.startswith("Checkpoint stream is corrupt") for record in caplog.records] == [True]


async def test_a_task_whose_checkpoints_are_gone_is_shown_with_what_is_left(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    task.paths.runner.unlink()
    view = await Observer([tmp_path]).task("t1")
    assert view is not None
    assert views.state_name(view.state) == "UNKNOWN"
    assert views.process_names(view) == ["fetch_package", "hello_world"]


async def test_a_new_task_is_found_within_the_interval(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    observer = Observer([tmp_path], sample=False, polling_interval_s=3.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(observer.run)
        await trio.testing.wait_all_tasks_blocked()
        task = running_task(tmp_path)
        await trio.sleep(3.1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert observer.ids("active") == ["t2"]
        task.finish()
        await trio.sleep(3.1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (observer.ids("active"), observer.ids("finished")) == ([], ["t2"])
        nursery.cancel_scope.cancel()


async def test_a_task_asked_for_is_looked_for_at_once(tmp_path: Path) -> None:
    observer = Observer([tmp_path])
    assert await observer.task("t1") is None
    failed_task(tmp_path)
    assert await observer.task("t1") is not None


async def test_tasks_come_newest_first(tmp_path: Path) -> None:
    for n in range(3):
        os.utime(failed_task(tmp_path, f"t{n}").paths.finished, (1000 + n, 1000 + n))
    observer = Observer([tmp_path])
    await observer.scan()
    assert observer.ids("all") == ["t2", "t1", "t0"]


async def test_only_so_many_ended_stories_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 10_000)
    observer = Observer([tmp_path])
    for n in range(5):
        failed_task(tmp_path, f"t{n}")
    await observer.scan()
    assert len(await observer.tasks(observer.ids("all"))) == 5
    assert len(await observer.tasks([f"t{n}" for n in range(5)])) == 5


@pytest.fixture
def busy_child() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


async def test_running_processes_are_measured(tmp_path: Path, busy_child: subprocess.Popen[bytes]) -> None:
    started_s = psutil.Process(busy_child.pid).create_time()
    run = ProcessStatus(2, "p", P.RUNNING, started_s, busy_child.pid)
    usage = Sampler().sample({"t": {"p": run}})["t"]
    assert usage.processes["p"].ram > 1 << 20
    assert usage.total.threads >= 1


async def test_a_pid_that_is_someone_elses_by_now_is_not_measured(busy_child: subprocess.Popen[bytes]) -> None:
    run = ProcessStatus(2, "p", P.RUNNING, 1000.0, busy_child.pid)
    assert Sampler().sample({"t": {"p": run}})["t"].processes["p"] == Sample()


def test_disk_use_counts_blocks_and_links_but_does_not_follow_them(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"x" * 10_000)
    (tmp_path / "link").symlink_to("/usr")
    assert disk_used(place_at(tmp_path)) == (tmp_path / "sub" / "file").stat().st_blocks * 512 + len("/usr")
    assert disk_used(place_at(tmp_path / "nowhere")) == 0


async def test_the_output_that_matters_is_that_of_a_process_that_failed(tmp_path: Path) -> None:
    task = running_task(tmp_path)
    observer = Observer([tmp_path])

    async def chosen() -> tuple[str, int] | None:
        view = await observer.task("t2")
        assert view is not None
        return views.main_process(view.state)

    assert await chosen() == ("hello_world", 0)
    task.process("hello_world", P.SUCCESS)
    task.process("later", P.WAITING, P.FAILED)
    assert await chosen() == ("later", 0)
    task.process("later", *RUNNING)
    assert await chosen() == ("later", 1)
    task.process("hello_world", *RAN[:3], P.FAILED)
    assert await chosen() == ("hello_world", 1)
