"""Streams of checkpoints (thermos-runner sheet, sections 2-5)."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import msgspec
import pytest

from executor.checkpoint import (
    CheckpointError,
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    RunnerState,
    Story,
    StreamReader,
    StreamWriter,
    TaskState,
    TaskStatus,
    decode_frames,
    encode_frame,
    read_stream,
    replay,
)

FORKED_FRAME = bytes.fromhex(
    "00000034 0c0002 0a0001 0000000000000001 0b0003 00000004 6563686f 080005 00000001 08000a 00001092"
    "04000b 41d65a0bc0200000 00 00"
)
FORKED = RunnerCkpt(
    process_status=ProcessStatus(1, "echo", ProcessState.FORKED, coordinator_pid=4242, fork_time=1500000000.5)
)
HEADER = RunnerCkpt(runner_header=RunnerHeader("id", 1, "/s", "host", "me", log_dir="/s/.logs", uid=0))


def status(seq: int, state: ProcessState, **fields: float | int) -> RunnerCkpt:
    return RunnerCkpt(process_status=msgspec.structs.replace(ProcessStatus(seq, "p", state), **fields))


def entered(state: TaskState) -> RunnerCkpt:
    return RunnerCkpt(task_status=TaskStatus(state, 1, 2, 3))


def test_a_record_has_the_bytes_of_the_worked_example() -> None:
    assert encode_frame(FORKED) == FORKED_FRAME
    assert decode_frames(FORKED_FRAME) == ([FORKED], len(FORKED_FRAME))


@pytest.mark.parametrize("kept", range(len(FORKED_FRAME)))
def test_half_a_record_is_left_for_later(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "stream"
    path.write_bytes(FORKED_FRAME + FORKED_FRAME[:kept])
    reader = StreamReader(path)
    assert reader.read() == [FORKED]
    with path.open("ab") as file:
        file.write(FORKED_FRAME[kept:])
    assert reader.read() == [FORKED]
    assert reader.read() == []


def test_a_writer_cuts_off_the_half_record_of_one_that_died(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(FORKED_FRAME + FORKED_FRAME[:9])
    reader = StreamReader(path)
    reader.read()
    writer = StreamWriter(path)
    writer.cut(reader.offset)
    writer.append(HEADER)
    writer.close()
    assert read_stream(path) == [FORKED, HEADER]


def test_a_record_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stream"
    writer = StreamWriter(path)
    writer.append(FORKED)
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:5]))
    with pytest.raises(OSError, match="No space left"):
        writer.append(HEADER)
    monkeypatch.undo()
    writer.append(HEADER)
    writer.close()
    assert read_stream(path) == [FORKED, HEADER]


def test_a_stream_has_one_writer(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "stream")
    with pytest.raises(CheckpointError, match="another process holds it"):
        StreamWriter(tmp_path / "stream")
    writer.close()
    StreamWriter(tmp_path / "stream").close()


def test_no_file_is_no_records(tmp_path: Path) -> None:
    assert read_stream(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xff\xff\xff", "at most 67108864"),
        (b"\0\0\0\1\0", "0 members set"),
        (b"\0\0\0\2\x0c\0", "the frame at 0"),
        (b"\0\0\0\4\x01\0\x09\0", "wire type 1"),
    ],
)
def test_damaged_frames_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        decode_frames(data)


def test_unknown_fields_are_skipped() -> None:
    body = FORKED_FRAME[4:-2] + bytes.fromhex("0a0063 0000000000000007 00 00")
    assert decode_frames(len(body).to_bytes(4, "big") + body)[0] == [FORKED]


def test_a_story_gathers_what_the_records_of_a_run_say() -> None:
    state = replay(
        [
            entered(TaskState.ACTIVE),
            HEADER,
            status(0, ProcessState.WAITING),
            status(1, ProcessState.FORKED, coordinator_pid=10, fork_time=1.0),
            status(2, ProcessState.RUNNING, pid=11, start_time=2.0),
            status(3, ProcessState.FAILED, stop_time=3.0, return_code=9),
            status(4, ProcessState.WAITING),
        ]
    )
    assert state.header == HEADER.runner_header
    assert state.state == TaskState.ACTIVE
    first, second = state.processes["p"]
    assert first == ProcessStatus(3, "p", ProcessState.FAILED, 2.0, 11, 3.0, 9, 10, 1.0)
    assert second == ProcessStatus(4, "p", ProcessState.WAITING)


def test_nothing_on_record_is_no_state() -> None:
    assert replay([]) == RunnerState()
    assert replay([]).state is None


PATHS_TO = {  # how a run gets into each state
    ProcessState.WAITING: [],
    ProcessState.FORKED: [ProcessState.FORKED],
    ProcessState.RUNNING: [ProcessState.FORKED, ProcessState.RUNNING],
    ProcessState.SUCCESS: [ProcessState.FORKED, ProcessState.RUNNING, ProcessState.SUCCESS],
    ProcessState.KILLED: [ProcessState.FORKED, ProcessState.KILLED],
    ProcessState.FAILED: [ProcessState.FAILED],
    ProcessState.LOST: [ProcessState.FORKED, ProcessState.LOST],
}
ALLOWED = {
    (ProcessState.WAITING, ProcessState.FORKED),
    (ProcessState.FORKED, ProcessState.RUNNING),
    (ProcessState.RUNNING, ProcessState.SUCCESS),
    (ProcessState.WAITING, ProcessState.FAILED),
    (ProcessState.RUNNING, ProcessState.FAILED),
    (ProcessState.FORKED, ProcessState.KILLED),
    (ProcessState.RUNNING, ProcessState.KILLED),
    (ProcessState.FORKED, ProcessState.LOST),
    (ProcessState.RUNNING, ProcessState.LOST),
    (ProcessState.SUCCESS, ProcessState.WAITING),
    (ProcessState.KILLED, ProcessState.WAITING),
    (ProcessState.FAILED, ProcessState.WAITING),
    (ProcessState.LOST, ProcessState.WAITING),
}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(ProcessState, ProcessState)))
def test_processes_take_the_steps_of_the_table_and_no_other(before: ProcessState, after: ProcessState) -> None:
    story = Story()
    for seq, state in enumerate([ProcessState.WAITING, *PATHS_TO[before]]):
        story.apply(status(seq, state))
    last = story.last("p")
    assert last is not None
    assert last.state == before
    following = status(last.seq + 1, after)
    if (before, after) in ALLOWED:
        story.apply(following)
        assert [run.state for run in story.processes["p"]][-1] == after
    else:
        with pytest.raises(CheckpointError, match="error recovering state"):
            story.apply(following)


@pytest.mark.parametrize("state", [s for s in ProcessState if s != ProcessState.WAITING])
def test_a_run_begins_waiting(state: ProcessState) -> None:
    with pytest.raises(CheckpointError, match="after nothing"):
        replay([status(0, state)])


@pytest.mark.parametrize("seq", [0, 2, 7])
def test_a_record_out_of_sequence_is_skipped_in_recovery_and_an_error_otherwise(seq: int) -> None:
    records = [status(0, ProcessState.WAITING), status(seq, ProcessState.FORKED)]
    assert replay(records).processes["p"][0].state == ProcessState.WAITING
    with pytest.raises(CheckpointError, match=f"record {seq} where 1 was expected"):
        replay(records, recovering=False)


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([HEADER, HEADER], "Attempting to rebind task with different parameters!"),
        ([RunnerCkpt()], "empty RunnerCkpt"),
        ([RunnerCkpt(task_status=TaskStatus(42))], "task state 42"),  # type: ignore[arg-type]
        ([status(0, 42)], "42"),  # type: ignore[arg-type]
    ],
)
def test_a_story_refuses_what_makes_no_sense(records: list[RunnerCkpt], says: str) -> None:
    with pytest.raises(CheckpointError, match=says):
        replay(records)


def test_terminal_states() -> None:
    assert {s.name for s in ProcessState if s.terminal} == {"SUCCESS", "KILLED", "FAILED", "LOST"}
    assert {s.name for s in TaskState if s.terminal} == {"SUCCESS", "KILLED", "FAILED", "LOST"}
