import os
import time
from pathlib import Path

import msgspec
import pytest

from aurorad.engine.base import StatusUpdate, TaskState
from aurorad.engine.local.processes import claim, identity_of
from aurorad.engine.local.runs import Line, Run, Runs, is_file_name
from tests.engine.rig import task

RUN = Run("run-1", "f-1", "a-1", "secret", task("a-1", "t-1"))
UPDATES = [
    StatusUpdate("t-1", state, uuid=os.urandom(16)) for state in (TaskState.TASK_STARTING, TaskState.TASK_FINISHED)
]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    runs = Runs(tmp_path)
    runs.create([RUN])
    return runs


def test_a_run_is_read_as_it_was_written(runs: Runs) -> None:
    for update in UPDATES:
        runs.append(RUN, Line(update=update), durably=True)
    runs.append(RUN, Line(acknowledged=UPDATES[0].uuid), durably=False)
    (known,) = runs.load()
    assert known.run == RUN
    assert known.updates == tuple(UPDATES)
    assert known.unacknowledged == (UPDATES[1],)
    assert known.executor is None


def test_an_executor_is_known_by_its_claim_and_only_the_first_counts(runs: Runs) -> None:
    own, parent = identity_of(os.getpid()), identity_of(os.getppid())
    assert claim(runs.identity_file(RUN), own) == own
    assert claim(runs.identity_file(RUN), parent) == own
    assert runs.load()[0].executor == own


def test_a_line_cut_short_is_dropped_and_what_follows_is_whole(runs: Runs, tmp_path: Path) -> None:
    runs.append(RUN, Line(update=UPDATES[0]), durably=True)
    with (tmp_path / "meta/run-1/updates").open("ab") as file:
        file.write(b'{"update":{"task_id":"t')
    assert runs.load()[0].updates == (UPDATES[0],)
    runs.append(RUN, Line(update=UPDATES[1]), durably=True)
    assert runs.load()[0].updates == tuple(UPDATES)


def test_a_damaged_line_is_refused_with_the_file(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "meta/run-1/updates").write_bytes(b"nonsense\n")
    with pytest.raises(ValueError, match="meta/run-1/updates is damaged"):
        runs.load()


def test_a_launch_that_was_never_finished_is_forgotten(runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "meta/run-1/run.json").write_bytes(msgspec.json.encode(RUN)[:-5])
    assert runs.load() == []
    assert not (tmp_path / "meta/run-1").exists()


def test_a_damaged_run_that_was_started_is_refused(runs: Runs, tmp_path: Path) -> None:
    claim(runs.identity_file(RUN), identity_of(os.getpid()))
    (tmp_path / "meta/run-1/run.json").write_bytes(b"")
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        runs.load()


def test_of_a_launch_that_fails_nothing_is_left(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    other = Run("run-2", "f-1", "a-1", "secret", task("a-1", "t-2"))
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/run-2").write_text("in the way")
    with pytest.raises(OSError, match="run-2"):
        runs.create([RUN, other])
    assert not (tmp_path / "meta/run-1").exists()
    assert not runs.directory(RUN).exists()


def test_an_ended_run_is_told_with_its_time_and_place_until_it_is_forgotten(runs: Runs) -> None:
    assert runs.ended() == {}
    before = time.time()
    runs.end(RUN)
    assert runs.load() == []
    (ended_s,) = runs.ended().values()
    assert before - 1 < ended_s < before + 60
    assert runs.place_of("run-1") == runs.directory(RUN).parents[1]
    runs.forget("run-1")
    assert runs.ended() == {}


@pytest.mark.parametrize("name", ["www-prod-hello-0-1b", "_", "0", "x" * 255])
def test_names_of_ids_are_names_of_files(name: str) -> None:
    assert is_file_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", "a b", "a\n", "ä", "x" * 256])
def test_what_could_lead_elsewhere_is_no_name_of_a_file(name: str) -> None:
    assert not is_file_name(name)
