"""Streams byte for byte as the original wrote them, encoded by Apache's own library (thermos-runner sheet, 2-5, 11)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from frozendict import frozendict

from executor.checkpoint import (
    CheckpointError,
    ProcessState,
    ProcessStatus,
    RunnerCkpt,
    RunnerHeader,
    RunnerState,
    TaskState,
    TaskStatus,
    decode_frames,
    encode_frame,
    read_stream,
    replay,
)

MS = 1500000000000


def entered(state: TaskState, ms: int = MS) -> RunnerCkpt:
    return RunnerCkpt(task_status=TaskStatus(state, ms, 4100, 0))


def echo(seq: int, state: ProcessState, **fields: Any) -> RunnerCkpt:
    return RunnerCkpt(process_status=ProcessStatus(seq, "echo", state, **fields))


HEADER = RunnerHeader(
    "www-data-prod-hello-0", MS, "/sandbox", "host", "www-data", frozendict({"http": 31000}), "/sandbox/.logs", 33
)
OLD_HEADER = RunnerHeader("old", MS, "/sandbox", "host", "www-data")

ACTIVE = "00000025 0c0003 08000100000000 0a00020000015d3ef79800 08000300001004 08000400000000 00 00"
HEADER_FRAME = (
    "0000008a 0c0001 0b0001000000157777772d646174612d70726f642d68656c6c6f2d30 0a00020000015d3ef79800"
    " 0b0003000000082f73616e64626f78 0b000400000004686f7374 0b0005000000087777772d64617461"
    " 0d00060b0a00000001000000046874747000000000 00007918 0b00070000000e2f73616e64626f782f2e6c6f6773"
    " 08000800000021 00 00"
)
OLD_HEADER_FRAME = (
    "00000043 0c0001 0b0001000000036f6c64 0a00020000015d3ef79800 0b0003000000082f73616e64626f78"
    " 0b000400000004686f7374 0b0005000000087777772d64617461 00 00"
)
ECHO = "0b0003000000046563686f"  # field 3, process
WAITING = f"00000022 0c0002 0a00010000000000000000 {ECHO} 08000500000000 00 00"
FORKED = f"00000034 0c0002 0a00010000000000000001 {ECHO} 08000500000001 08000a00001092 04000b41d65a0bc0200000 00 00"
RUNNING = f"00000034 0c0002 0a00010000000000000002 {ECHO} 08000500000002 04000641d65a0bc0280000 08000700001093 00 00"
SUCCESS = f"00000034 0c0002 0a00010000000000000003 {ECHO} 08000500000003 04000841d65a0bc0600000 08000900000000 00 00"
KILLED = f"00000034 0c0002 0a00010000000000000003 {ECHO} 08000500000004 04000841d65a0bc0600000 080009fffffff7 00 00"
FAILED = f"00000034 0c0002 0a00010000000000000003 {ECHO} 08000500000005 04000841d65a0bc0600000 08000900000002 00 00"
LOST = f"00000022 0c0002 0a00010000000000000003 {ECHO} 08000500000006 00 00"
CLEANING = "00000025 0c0003 08000100000005 0a00020000015d3ef79ddc 08000300001004 08000400000000 00 00"
FINALIZING = "00000025 0c0003 08000100000006 0a00020000015d3ef79e59 08000300001004 08000400000000 00 00"
DONE = "00000025 0c0003 08000100000001 0a00020000015d3ef79ed6 08000300001004 08000400000000 00 00"


def stream(*frames: str) -> bytes:
    return b"".join(map(bytes.fromhex, frames))


@pytest.mark.parametrize(
    ("frame", "record"),
    [
        (ACTIVE, entered(TaskState.ACTIVE)),
        (HEADER_FRAME, RunnerCkpt(runner_header=HEADER)),
        (WAITING, echo(0, ProcessState.WAITING)),
        (FORKED, echo(1, ProcessState.FORKED, coordinator_pid=4242, fork_time=1500000000.5)),
        (RUNNING, echo(2, ProcessState.RUNNING, pid=4243, start_time=1500000000.625)),
        (SUCCESS, echo(3, ProcessState.SUCCESS, stop_time=1500000001.5, return_code=0)),
        (KILLED, echo(3, ProcessState.KILLED, stop_time=1500000001.5, return_code=-9)),
        (FAILED, echo(3, ProcessState.FAILED, stop_time=1500000001.5, return_code=2)),
        (LOST, echo(3, ProcessState.LOST)),
        (CLEANING, entered(TaskState.CLEANING, MS + 1500)),
        (FINALIZING, entered(TaskState.FINALIZING, MS + 1625)),
        (DONE, entered(TaskState.SUCCESS, MS + 1750)),
    ],
)
def test_every_record_is_written_and_read_as_the_original_did(frame: str, record: RunnerCkpt) -> None:
    assert encode_frame(record) == bytes.fromhex(frame)
    assert decode_frames(bytes.fromhex(frame)) == ([record], len(bytes.fromhex(frame)))


def run(state: ProcessState, **fields: Any) -> ProcessStatus:
    """What the records of one run say together."""
    beginning = {"start_time": 1500000000.625, "pid": 4243, "coordinator_pid": 4242, "fork_time": 1500000000.5}
    return ProcessStatus(3, "echo", state, **{**beginning, **fields})


def test_the_typical_stream_of_a_task_is_read(tmp_path: Path) -> None:
    path = tmp_path / "runner"
    frames = [ACTIVE, HEADER_FRAME, WAITING, FORKED, RUNNING, SUCCESS, CLEANING, FINALIZING, DONE]
    path.write_bytes(stream(*frames))
    states = (TaskState.ACTIVE, TaskState.CLEANING, TaskState.FINALIZING, TaskState.SUCCESS)
    statuses = tuple(TaskStatus(s, MS + t, 4100, 0) for s, t in zip(states, (0, 1500, 1625, 1750), strict=True))
    runs = (run(ProcessState.SUCCESS, stop_time=1500000001.5, return_code=0),)
    assert replay(read_stream(path), recovering=False) == RunnerState(HEADER, statuses, frozendict(echo=runs))


@pytest.mark.parametrize(
    ("last", "run"),
    [
        (FAILED, run(ProcessState.FAILED, stop_time=1500000001.5, return_code=2)),
        (KILLED, run(ProcessState.KILLED, stop_time=1500000001.5, return_code=-9)),
        (LOST, run(ProcessState.LOST)),
    ],
)
def test_every_end_keeps_what_was_said_of_it(last: str, run: ProcessStatus) -> None:
    records, _ = decode_frames(stream(ACTIVE, WAITING, FORKED, RUNNING, last))
    assert replay(records, recovering=False).processes["echo"] == (run,)


def test_a_very_old_stream_goes_from_active_to_success_and_knows_neither_uid_nor_logs() -> None:
    records, _ = decode_frames(stream(ACTIVE, OLD_HEADER_FRAME, WAITING, FORKED, RUNNING, SUCCESS, DONE))
    state = replay(records, recovering=False)
    assert [status.state for status in state.statuses] == [TaskState.ACTIVE, TaskState.SUCCESS]
    assert state.header == OLD_HEADER
    assert (OLD_HEADER.uid, OLD_HEADER.log_dir, OLD_HEADER.ports) == (None, None, frozendict())


def test_fields_of_later_versions_are_skipped_in_every_struct() -> None:
    later = "0f0063 0c 00000001 0b0001 00000001 78 00"  # field 99, a list of structs
    frames = []
    for frame in (ACTIVE, HEADER_FRAME, WAITING):
        body = bytes.fromhex(frame)[4:-2] + bytes.fromhex(later) + b"\0\0"
        frames.append(len(body).to_bytes(4, "big") + body)
    records, _ = decode_frames(b"".join(frames))
    assert records == [entered(TaskState.ACTIVE), RunnerCkpt(runner_header=HEADER), echo(0, ProcessState.WAITING)]


def test_a_second_header_is_an_error_even_in_recovery() -> None:
    records, _ = decode_frames(stream(ACTIVE, HEADER_FRAME, HEADER_FRAME))
    with pytest.raises(CheckpointError, match="Attempting to rebind task with different parameters!"):
        replay(records)


def test_a_record_that_is_there_twice_is_skipped_in_recovery_and_an_error_otherwise() -> None:
    records, _ = decode_frames(stream(ACTIVE, WAITING, FORKED, FORKED, RUNNING, SUCCESS))
    assert replay(records).processes["echo"] == (run(ProcessState.SUCCESS, stop_time=1500000001.5, return_code=0),)
    with pytest.raises(CheckpointError, match="record 1 where 2 was expected"):
        replay(records, recovering=False)


def test_an_empty_record_is_an_error() -> None:
    with pytest.raises(CheckpointError):
        replay(decode_frames(bytes.fromhex("00000001 00"))[0])
