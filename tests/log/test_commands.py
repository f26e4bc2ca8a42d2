from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aurorad import main
from aurorad.api.tasks import ResourceAggregate
from aurorad.log.disk import Folder
from aurorad.log.journal import Journal
from aurorad.log.messages import Configuration, Known, Metadata, Nop, Placed, Stored, Truncate, Value, Wrote
from aurorad.log.segments import Segments
from aurorad.log.walk import name_of
from aurorad.storage import entries
from aurorad.storage.shared import encode
from tests.log.journals import LEADER, VOTING
from tests.log.small_disk import small_disk

Run = Callable[..., tuple[int, list[str]]]

SNAPSHOT = [
    encode(entries.SnapshotBegin(1_700_000_000_000)),
    encode(entries.SnapshotPart(quotas=(("web", ResourceAggregate()), ("ops", ResourceAggregate())))),
    encode(entries.SnapshotEnd(1)),
]
LARGE = entries.records(entries.Padding(b"x" * 1000), 600)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, list[str]]:
        status = main.main(["log", *map(str, arguments)])
        captured = capsys.readouterr()
        return status, [*captured.out.splitlines(), *captured.err.splitlines()]

    return run


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def member(folder: Path) -> None:
    """A log of a member with one entry of each kind."""
    journal = Journal.open(Folder(folder), alone=True, rng=random.Random(1), segment_bytes=8192)
    configuration = Configuration("east", 2, ((11, "10.0.0.1:5050"), (12, "10.0.0.2:5050")))
    values: list[Value] = [Nop(), configuration, Truncate(0), *SNAPSHOT, *LARGE]
    voting = Metadata(VOTING.status, 11, LEADER, Placed(configuration, 1))
    journal.append([voting, Wrote(LEADER, 0, values), Known(len(values) - 1)])
    journal.close()


def test_an_empty_log_is_initialized_once(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    status, lines = run("initialize", f"--path={folder}")
    assert (status, lines[0].partition(":")[0]) == (0, f"{folder} is initialized")
    assert run("initialize", f"--path={folder}") == (1, ["aurorad log initialize: The log is not empty"])
    journal = Journal.open(Folder(folder), alone=True, rng=random.Random(1))
    assert journal.stored == Stored(VOTING.status)
    journal.close()


def test_a_log_in_use_is_not_initialized(run: Run, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    status, lines = run("initialize", f"--path={tmp_path}")
    assert status == 1
    assert lines[0].startswith(f"aurorad log initialize: {tmp_path} is in use by another aurorad")
    folder.close()


def test_inspect_lists_what_the_log_is_and_what_is_in_it(run: Run, tmp_path: Path) -> None:
    member(tmp_path)
    before = content(tmp_path)
    status, lines = run("inspect", f"--path={tmp_path}")
    assert status == 0
    assert content(tmp_path) == before
    split = lines.index("in_use: False")
    facts = dict(line.split(": ", 1) for line in lines[:split])
    assert (facts["status"], facts["member"], facts["promised"]) == ("VOTING", "11", "1.11")
    assert (facts["begin"], facts["learned_to"], facts["end"]) == ("0", "8", "9")
    assert facts["members"] == "11@10.0.0.1:5050 12@10.0.0.2:5050"
    assert [" ".join(line.split()) for line in lines[split + 1 :]] == [
        "0 nop",
        "1 configuration: cluster east, quorum 2, members 11@10.0.0.1:5050 12@10.0.0.2:5050",
        "2 truncate: to 0",
        f"3 {len(SNAPSHOT[0])} B snapshot begins: taken 2023-11-14T22:13:20+00:00",
        f"4 {len(SNAPSHOT[1])} B snapshot part: quotas 2",
        f"5 {len(SNAPSHOT[2])} B snapshot ends: parts 1",
        f"6 {len(LARGE[0])} B frame of a larger entry",
        f"7 {len(LARGE[1])} B frame of a larger entry",
        f"8 {len(LARGE[2])} B padding (not known to be chosen)",
    ]


def test_inspect_as_json_is_an_object_a_line(run: Run, tmp_path: Path) -> None:
    member(tmp_path)
    status, lines = run("inspect", f"--path={tmp_path}", "--json", "--first=4", "--count=2")
    facts, *found = map(json.loads, lines)
    assert status == 0
    assert (facts["promised"], facts["in_use"], facts["quorum"]) == ([1, 11], False, 2)
    assert found == [
        {
            "position": 4,
            "learned": True,
            "proposal": [1, 11],
            "bytes": len(SNAPSHOT[1]),
            "kind": "snapshot part",
            "counts": {"quotas": 2},
        },
        {
            "position": 5,
            "learned": True,
            "proposal": [1, 11],
            "bytes": len(SNAPSHOT[2]),
            "kind": "snapshot ends",
            "counts": {"parts": 1},
        },
    ]


def test_verify_finds_nothing_wrong_with_a_good_log_even_in_use(run: Run, tmp_path: Path) -> None:
    member(tmp_path)
    assert run("verify", f"--path={tmp_path}")[1][-2:] == ["in_use: False", "all 9 entries are as they were written"]
    folder = Folder(tmp_path)
    status, lines = run("verify", f"--path={tmp_path}")
    assert (status, lines[-2:]) == (0, ["in_use: True", "all 9 entries are as they were written"])
    folder.close()


def test_verify_says_where_every_damage_is_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    journal = Journal.open(Folder(tmp_path), alone=True, rng=random.Random(1), segment_bytes=8192)
    for at in range(60):
        journal.append([Wrote(LEADER, at, [encode(entries.Padding(b"x" * 200))])])
    journal.close()
    for number, offset in ((0, 1024 + 100), (0, 4096 + 100), (2, 512)):
        damaged = bytearray((tmp_path / name_of(number)).read_bytes())
        damaged[offset] ^= 1
        (tmp_path / name_of(number)).write_bytes(damaged)
    before = content(tmp_path)
    status, lines = run("verify", f"--path={tmp_path}")
    assert status == 2
    assert [line for line in lines if line.startswith("DAMAGE")] == [
        f"DAMAGE: {tmp_path / name_of(number)} is damaged at byte {offset}: {what}"
        for number, offset, what in (
            (0, 1024, "the checksum does not match, yet more was written after it"),
            (0, 4096, "the checksum does not match, yet more was written after it"),
            (2, 512, "the header of a batch does not match its checksum"),
        )
    ]
    assert content(tmp_path) == before
    status, lines = run("verify", f"--path={tmp_path}", "--json")
    assert (status, len([line for line in lines if "damage" in json.loads(line)])) == (2, 3)


def test_verify_tells_entries_that_storage_did_not_write(run: Run, tmp_path: Path) -> None:
    journal = Journal.open(Folder(tmp_path), alone=True, rng=random.Random(1))
    journal.append([Wrote(LEADER, 0, [b"\x07"])])
    journal.close()
    status, lines = run("verify", f"--path={tmp_path}")
    assert (status, lines[-1].partition(" cannot be read")[0]) == (2, "DAMAGE: The log entry at position 0")


def test_a_write_that_a_crash_interrupted_is_no_damage(run: Run, tmp_path: Path) -> None:
    member(tmp_path)
    file = tmp_path / name_of(0)
    written = file.read_bytes()
    used = len(written.rstrip(b"\0"))
    file.write_bytes(written[:used] + b"\xa5torn" + written[used + 5 :])
    status, lines = run("verify", f"--path={tmp_path}")
    assert status == 0
    assert lines[-2].startswith(f"note: the last write (5 bytes in {file}) was interrupted by a crash")
    assert content(tmp_path)[name_of(0)] != written


def test_the_log_of_a_single_scheduler_is_inspected_and_verified_too(run: Run, tmp_path: Path) -> None:
    log = Segments(Folder(tmp_path), 200)
    for entry in SNAPSHOT:
        log.append([entry, encode(entries.Padding(b"x" * 100))])
    log.close()
    status, lines = run("inspect", f"--path={tmp_path}")
    assert status == 0
    assert lines[:3] == ["log: of a scheduler that has no others", "begin: 0", "end: 6"]
    assert [line.split("  ")[-1] for line in lines[7:]] == [
        "snapshot begins: taken 2023-11-14T22:13:20+00:00",
        "padding",
        "snapshot part: quotas 2",
        "padding",
        "snapshot ends: parts 1",
        "padding",
    ]
    assert run("verify", f"--path={tmp_path}")[0] == 0
    first = min(tmp_path.iterdir())
    damaged = bytearray(first.read_bytes())
    damaged[60] ^= 1
    first.write_bytes(damaged)
    status, lines = run("verify", f"--path={tmp_path}")
    assert (status, lines[-1]) == (2, f"DAMAGE: {first} is damaged at byte 0: no whole entry there, yet more follow")


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_where_no_log_is_nothing_is_made(command: str, run: Run, tmp_path: Path) -> None:
    assert run(command, f"--path={tmp_path}") == (1, [f"aurorad log {command}: {tmp_path} holds no log"])
    assert run(command, f"--path={tmp_path / 'none'}")[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_can_only_be_read_is_enough_to_look_and_not_to_open(run: Run, tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m"):
        member(tmp_path / "log")
        subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        assert run("inspect", f"--path={tmp_path / 'log'}")[0] == 0
        assert run("verify", f"--path={tmp_path / 'log'}")[0] == 0
        with pytest.raises(OSError, match="Read-only file system"):
            Journal.open(Folder(tmp_path / "log"), alone=True, rng=random.Random(1))


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    journal = Journal.open(Folder(tmp_path), alone=True, rng=random.Random(1))
    journal.append([Wrote(LEADER, 0, [encode(entries.Padding(b""))] * 20_000)])
    journal.close()
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "aurorad.main", "log", "inspect", f"--path={tmp_path}"]
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    os.read(reading, 100)
    os.close(reading)
    assert (process.communicate()[1], process.returncode) == (b"", 0)


def test_its_status_says_how_it_went_where_there_is_no_output(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aurorad.main", "log", "initialize", f"--path={tmp_path}"]
    statuses = [subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command], check=False) for _ in range(2)]
    assert [done.returncode for done in statuses] == [0, 1]
