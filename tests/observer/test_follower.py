import fcntl
import json
import logging
import os
import struct
import threading
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aurorad.observer import follower as module
from aurorad.observer import views
from aurorad.observer.follower import Follower, describe
from aurorad.observer.observer import Observer, TaskView
from aurorad.observer.places import Root
from aurorad.observer.sampling import NOTHING
from aurorad.observer.walk import place_at
from executor.checkpoint import (
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    TaskState,
    TaskStatus,
    encode_frame,
)
from executor.ledger import Ledger
from executor.paths import TaskPaths
from executor.task import Process, Task
from tests.observer import golden
from tests.observer.host import RUNNING, P, TaskOnDisk, failed_task, running_task


def read(task: TaskOnDisk) -> Follower:
    found = Follower(Root(place_at(task.paths.root)), task.paths.task_id)
    found.read(finished=task.paths.finished.exists())
    return found


# Streams of the original.


async def test_a_stream_of_0_22_is_read(tmp_path: Path) -> None:
    run = tmp_path / "slaves/S/frameworks/F/executors/thermos-old/runs/r"
    sandbox, root = run / "sandbox", run / "checkpoints"
    for folder in (sandbox / ".logs/echo/2", root / "tasks/finished", root / "checkpoints/old"):
        folder.mkdir(parents=True)
    (root / "tasks/finished/old").write_text('{"name": "old", "processes": [{"name": "echo", "cmdline": "echo hi"}]}')
    (root / "checkpoints/old/runner").write_bytes(
        golden.stream(golden.V0_22, f"/elsewhere/{sandbox.relative_to(tmp_path)}")
    )
    (sandbox / ".logs/echo/2/stdout").write_text("hi\n")
    task = await Observer([tmp_path]).task("old")
    assert task is not None
    assert [status.state for status in task.state.statuses] == [
        TaskState.ACTIVE,
        TaskState.ACTIVE,
        TaskState.CLEANING,
        TaskState.FINALIZING,
        TaskState.SUCCESS,
    ]
    runs = task.state.processes["echo"]
    assert [(run.state, run.return_code) for run in runs] == [(P.FAILED, 3), (P.KILLED, -9), (P.SUCCESS, 0)]
    assert views.run_json(task, "echo", 0) == {
        "process_name": "echo",
        "process_run": 0,
        "state": "FAILED",
        "start_time": 1500000000.75,
        "stop_time": 1500000002.0,
        "return_code": 3,
    }
    assert (views.launch_ms(task.state), views.entered_ms(task.state)) == (1500000000000, 1500000013000)
    assert str(task.sandbox()) == str(sandbox)
    assert task.log("echo", 2, "stdout").relative == ".logs/echo/2/stdout"


async def test_a_stream_of_before_0_9_is_read_from_a_root_of_its_own(tmp_path: Path) -> None:
    root, sandbox = tmp_path / "thermos", tmp_path / "sandboxes" / "ancient"
    for folder in (sandbox, root / "tasks/finished", root / "checkpoints/ancient", root / "logs/ancient/hello/0"):
        folder.mkdir(parents=True)
    (root / "tasks/finished/ancient").write_text('{"name": "ancient", "processes": []}')
    (root / "checkpoints/ancient/runner").write_bytes(golden.stream(golden.ANCIENT, str(sandbox)))
    (root / "logs/ancient/hello/0/stderr").write_text("hello\n")
    task = await Observer([], [root]).task("ancient")
    assert task is not None
    assert [status.state for status in task.state.statuses] == [TaskState.ACTIVE, TaskState.SUCCESS]
    assert task.state.processes["hello"][-1].state is P.SUCCESS
    if os.getuid() == 0:  # whose streams these say they are
        assert str(task.sandbox()) == str(sandbox)
    file = task.log("hello", 0, "stderr")
    assert f"{file.place}/{file.relative}" == str(root / "logs/ancient/hello/0/stderr")


# Whose runner is gone.


async def test_a_task_whose_runner_lives_is_active(tmp_path: Path) -> None:
    running_task(tmp_path)
    observer = Observer([tmp_path])
    await observer.scan()
    assert observer.ids("active") == ["t2"]


async def test_a_task_whose_runner_is_gone_is_lost_since_its_last_sign(tmp_path: Path) -> None:
    task, observer = running_task(tmp_path), Observer([tmp_path])
    await observer.scan()
    task.die()
    os.utime(task.paths.runner, (1_700_000_123, 1_700_000_123))
    await observer.scan()
    assert (observer.ids("active"), observer.ids("finished")) == ([], ["t2"])
    view = await observer.task("t2")
    assert view is not None
    assert (view.finished, view.abandoned) == (True, True)
    assert (views.state_name(view.state), views.entered_ms(view.state)) == ("LOST", 1_700_000_123_000)
    assert view.state.processes["hello_world"][-1].state is P.LOST
    assert view.state.processes["fetch_package"][-1].state is P.SUCCESS


async def test_a_runner_is_missed_for_a_while_before_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 1000.0)
    task, observer = running_task(tmp_path), Observer([tmp_path])
    task.die()
    await observer.scan()
    await observer.scan()
    assert observer.ids("active") == ["t2"]
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    await observer.scan()
    assert observer.ids("active") == []


def test_a_runner_that_comes_while_the_lock_is_looked_at_waits_for_that(tmp_path: Path) -> None:
    task = Task(name="t", processes=(Process(name="p", cmdline="true"),))
    paths = TaskPaths(tmp_path, "t1")
    paths.runner.parent.mkdir(parents=True)
    with paths.runner.open("ab") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        threading.Timer(0.002, fcntl.flock, (looked_at, fcntl.LOCK_UN)).start()
        ledger = Ledger(paths, ["p"], lambda: 0, logging.getLogger())
        ledger.open(task, RunnerHeader("t1"))
        ledger.close()


async def test_a_task_that_another_runner_took_over_is_active_again(tmp_path: Path) -> None:
    task, observer = running_task(tmp_path), Observer([tmp_path])
    task.die()
    await observer.scan()
    assert observer.ids("active") == []
    task.take_over().states(TaskState.ACTIVE)
    await observer.scan()
    assert observer.ids("active") == ["t2"]
    view = await observer.task("t2")
    assert view is not None
    assert views.state_name(view.state) == "ACTIVE"


def test_what_a_dead_runner_left_running_still_runs(tmp_path: Path) -> None:
    task = TaskOnDisk(tmp_path, "t5", ("mine", "gone")).begin()
    task.process("mine", *RUNNING, pid=os.getpid(), start_s=psutil.Process().create_time())
    task.process("gone", *RUNNING, pid=os.getpid(), start_s=1000.0)  # a number that somebody else has by now
    task.die()
    found = read(task)
    assert {name: runs[-1].state for name, runs in found.state.processes.items()} == {"mine": P.RUNNING, "gone": P.LOST}


def test_an_ended_task_that_was_not_filed_yet_is_over(tmp_path: Path) -> None:
    task = running_task(tmp_path).states(TaskState.CLEANING, TaskState.FINALIZING, TaskState.SUCCESS)
    task.die()
    found = read(task)
    assert (found.over, found.abandoned, found.state.state) == (True, False, TaskState.SUCCESS)


# What a task's user might write there.


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{", b'{"name": 1}', b"[" * 100_000, b'{"a":' * 100_000, b'{"name": "\xff"}', b'{"a": NaN}', b"null"],
)
def test_what_is_no_task_file_describes_nothing(text: bytes) -> None:
    assert describe(text) is None


def test_of_processes_of_one_name_the_last_counts() -> None:
    text = json.dumps(
        {"name": "n", "processes": [{"name": "a", "cmdline": "1"}, {"name": "a", "cmdline": "2"}]}
    ).encode()
    found = describe(text)
    assert found is not None
    assert (found.name, found.cmdlines, found.json) == ("n", (("a", "2"),), text)


def test_a_task_file_with_odd_resources_is_shown_without_them() -> None:
    for odd in ('"many"', '{"ram": 1.5}', '{"ram": 1%s}' % ("0" * 400), "null"):
        found = describe(f'{{"name": "n", "resources": {odd}}}'.encode())
        assert found is not None
        assert (found.name, found.resources) == ("n", None)


def test_links_for_checkpoints_are_not_followed(tmp_path: Path) -> None:
    task, other = failed_task(tmp_path / "a", "t1"), failed_task(tmp_path / "b", "t2")
    task.paths.runner.unlink()
    task.paths.runner.symlink_to(other.paths.runner)
    task.paths.finished.unlink()
    task.paths.finished.symlink_to(other.paths.finished)
    found = read(task)
    assert (found.state.statuses, found.description.name) == ((), "")


async def test_pipes_for_checkpoints_hold_nobody_up(tmp_path: Path) -> None:
    task = failed_task(tmp_path)
    for path in (task.paths.runner, task.paths.finished):
        path.unlink()
        os.mkfifo(path)
    assert await Observer([tmp_path]).task("t1") is None  # a pipe is no task


def test_times_that_are_none_are_left_out(tmp_path: Path) -> None:
    task = running_task(tmp_path)
    for time in (float("nan"), float("inf"), -1.0, 1e300):
        status = ProcessStatus(0, f"p{time}", P.WAITING, start_time=time, stop_time=time, fork_time=time)
        with task.paths.runner.open("ab") as stream:
            stream.write(encode_frame(RunnerCkpt(process_status=status)))
    found = read(task)
    for time in (float("nan"), float("inf"), -1.0, 1e300):
        (run,) = found.state.processes[f"p{time}"]
        assert (run.start_time, run.stop_time, run.fork_time) == (None, None, None)


def test_a_stream_without_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LARGEST_STREAM", 1000)
    task = running_task(tmp_path)
    with task.paths.runner.open("ab") as stream:
        stream.truncate(1 << 40)
    read(task)
    assert "is longer than" in caplog.text or "corrupt" in caplog.text


def test_a_record_without_end_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = running_task(tmp_path)
    with task.paths.runner.open("ab") as stream:
        stream.write(struct.pack(">I", 50 << 20))
        stream.truncate(60 << 20)
    assert read(task).state.processes["hello_world"][-1].state is P.RUNNING
    assert "is longer than 1048576 bytes" in caplog.text


def test_a_stream_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    task = running_task(tmp_path)
    found = read(task)
    assert "hello_world" in found.state.processes
    fresh = task.paths.runner.with_name("fresh")
    fresh.write_bytes(encode_frame(RunnerCkpt(task_status=TaskStatus(TaskState.SUCCESS, 5))))
    fresh.rename(task.paths.runner)
    found.read(finished=False)
    assert (found.state.state, dict(found.state.processes)) == (TaskState.SUCCESS, {})


FRAMES = st.one_of(
    st.binary(max_size=40).map(lambda body: struct.pack(">I", len(body)) + body),
    st.builds(
        lambda seq, name, state, time: encode_frame(
            RunnerCkpt(process_status=ProcessStatus(seq, name, state, time, 1, time, 0, 1, time))
        ),
        st.integers(-1, 3),
        st.sampled_from(["p", "", "a/b", "\n"]),
        st.sampled_from(ProcessState),
        st.floats(),
    ),
    st.builds(
        lambda state, ms: encode_frame(RunnerCkpt(task_status=TaskStatus(state, ms))),
        st.sampled_from(TaskState),
        st.integers(-(2**63), 2**63 - 1),
    ),
    st.binary(max_size=12),
)


@settings(max_examples=200)
@given(frames=st.lists(FRAMES, max_size=12))
def test_whatever_the_stream_says_views_can_show_it(
    tmp_path_factory: pytest.TempPathFactory, frames: list[bytes]
) -> None:
    root = tmp_path_factory.getbasetemp() / "any"
    (root / "checkpoints" / "t").mkdir(parents=True, exist_ok=True)
    (root / "checkpoints" / "t" / "runner").write_bytes(b"".join(frames))
    found = Follower(Root(place_at(root)), "t")
    found.read(finished=False)
    view = viewed(found)
    json.dumps(views.listed_json(view), allow_nan=False)
    views.task_row(view)
    views.process_rows(view)
    for name in found.state.processes:
        json.dumps(views.run_json(view, name), allow_nan=False)


def viewed(found: Follower) -> TaskView:
    return TaskView("t", False, False, found.root, found.owner, found.state, found.description, NOTHING)
