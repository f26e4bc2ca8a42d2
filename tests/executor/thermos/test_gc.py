"""Removing what finished tasks left (thermos-runner sheet, section 14)."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from executor.checkpoint import RunnerCkpt, RunnerHeader, StreamWriter, TaskState, TaskStatus
from executor.paths import TaskPaths
from executor.thermos.gc import parse_age, parse_space
from executor.thermos.leftovers import Leftover, Parts, remove, without
from executor.thermos.rights import Failed
from tests.executor.thermos.command import look
from tests.somebody import let_others_in

NOBODY = pwd.getpwnam("nobody").pw_uid
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")


def leave(
    root: Path,
    task_id: str,
    ended_s: int = 1_000_000,
    *,
    active: bool = False,
    state: TaskState = TaskState.SUCCESS,
    sandbox: Path | None = None,
    logs: Path | None = None,
    uid: int | None = None,
) -> TaskPaths:
    """A task that is over, with ten thousand bytes in its sandbox."""
    paths = TaskPaths(root, task_id)
    sandbox = sandbox or root / "sandboxes" / task_id
    logs = logs or sandbox / ".logs"
    for folder in (sandbox, logs / "p" / "0", paths.active.parent, paths.finished.parent):
        folder.mkdir(parents=True, exist_ok=True)
    (sandbox / "data").write_bytes(b"x" * 10_000)
    (logs / "p" / "0" / "stdout").write_text("said")
    (paths.active if active else paths.finished).write_text("{}")
    header = RunnerHeader(
        task_id,
        1,
        str(sandbox),
        "host",
        pwd.getpwuid(uid or os.getuid()).pw_name,
        log_dir=str(logs),
        uid=uid or os.getuid(),
    )
    writer = StreamWriter(paths.runner)
    for status in (TaskState.ACTIVE, TaskState.ACTIVE if active else state):
        writer.append(RunnerCkpt(task_status=TaskStatus(status, 1, 2, 3)))
    writer.append(RunnerCkpt(runner_header=header))
    writer.close()
    os.utime(paths.runner, (ended_s, ended_s))
    return paths


def gone(paths: TaskPaths) -> bool:
    return not paths.finished.exists() and not paths.runner.parent.exists()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2d5h", 190_800),
        ("7200s", 7200),
        ("1d1h1m1s", 90_061),
        ("5m", 300),
        ("0s", 0),
        ("", None),
        ("5", None),
        ("5s2d", None),
    ],
)
def test_ages(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(ValueError, match="an age such as 2d5h or 7200s was expected"):
            parse_age(text)
    else:
        assert parse_age(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20G", 20 << 30),
        ("5MB", 5 << 20),
        ("1k", 1024),
        ("7", 7),
        ("1T", 1 << 40),
        ("G", None),
        ("1X", None),
        ("-1G", None),
    ],
)
def test_spaces(text: str, size: int | None) -> None:
    if size is None:
        with pytest.raises(ValueError, match="a space such as 20G or 500M was expected"):
            parse_space(text)
    else:
        assert parse_space(text) == size


def test_without_limits_and_ids_nothing_is_collected(tmp_path: Path, usual_places: Path) -> None:
    paths = leave(tmp_path, "t")
    assert look(tmp_path, "gc", "--delete-metadata").stdout == (
        f"Analyzing root at {tmp_path}\nAnalyzing root at {usual_places}/thermos\n"
        "No task ids specified, using default collector.\nNo tasks to garbage collect.  Exiting\n"
    )
    assert paths.finished.exists()


def test_those_that_match_are_removed_as_far_as_wanted(tmp_path: Path) -> None:
    one, other = leave(tmp_path, "one"), leave(tmp_path, "other")
    shown = look(tmp_path, "gc", "--force", "one", "--delete-data", "--delete-logs", "--delete-metadata").stdout
    assert shown.endswith("Running gc...\n  Task one data (deleting) logs (deleting) metadata (deleting) done.\n")
    assert gone(one)
    assert not (tmp_path / "sandboxes" / "one").exists()
    assert (tmp_path / "sandboxes" / "other" / "data").exists()
    assert other.finished.exists()


def test_logs_in_the_sandbox_stay_if_they_shall(tmp_path: Path) -> None:
    paths = leave(tmp_path, "t")
    sandbox = tmp_path / "sandboxes" / "t"
    look(tmp_path, "gc", "--force", "t", "--delete-data")
    assert os.listdir(sandbox) == [".logs"]
    assert (sandbox / ".logs" / "p" / "0" / "stdout").exists()
    assert paths.finished.exists()
    look(tmp_path, "gc", "--force", "t", "--delete-data", "--delete-logs")
    assert not sandbox.exists()


def test_logs_elsewhere_go_alone_or_with_the_rest(tmp_path: Path) -> None:
    leave(tmp_path, "t", logs=tmp_path / "logs" / "t")
    look(tmp_path, "gc", "--force", "t", "--delete-logs")
    assert not (tmp_path / "logs" / "t").exists()
    assert (tmp_path / "sandboxes" / "t" / "data").exists()


def test_the_oldest_beyond_a_limit_go(tmp_path: Path) -> None:
    tasks = [leave(tmp_path, f"t{n}", 1_000_000 + n) for n in range(4)]
    look(tmp_path, "gc", "--force", "--delete-metadata", "--max_tasks", "3")
    assert [gone(task) for task in tasks] == [True, False, False, False]
    look(tmp_path, "gc", "--force", "--delete-metadata", "--delete-data", "--delete-logs", "--max_space", "50K")
    assert [gone(task) for task in tasks] == [True, True, False, False]
    look(tmp_path, "gc", "--force", "--delete-metadata", "--max_age", "365d")
    assert all(gone(task) for task in tasks)


def test_it_asks_before(tmp_path: Path) -> None:
    paths = leave(tmp_path, "t")
    for answer in ("", "n\n", "yes\n"):
        shown = look(tmp_path, "gc", "t", "--delete-metadata", answer=answer).stdout
        assert shown.endswith("Continue [y/N]? Cancelling gc.\n")
        assert f"    {paths.runner.parent}\n" in shown
    assert paths.finished.exists()
    look(tmp_path, "gc", "t", "--delete-metadata", answer="Y\n")
    assert gone(paths)


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    paths = leave(tmp_path, "t")
    shown = look(tmp_path, "gc", "t", "--dryrun", "--delete-metadata", "--delete-data").stdout
    assert f"    would run erase_data('{tmp_path}/sandboxes/t')\n" in shown
    assert f"    would run erase_metadata('{paths.runner.parent}')\ndone.\n" in shown
    assert paths.finished.exists()
    assert (tmp_path / "sandboxes" / "t" / "data").exists()


def test_active_tasks_are_never_collected(tmp_path: Path) -> None:
    leave(tmp_path, "t", active=True)
    assert "No tasks to garbage collect.  Exiting" in look(tmp_path, "gc", "t", "--force", "--delete-data").stdout
    assert (tmp_path / "sandboxes" / "t" / "data").exists()


def test_a_task_that_somebody_holds_or_that_has_not_ended_stays(tmp_path: Path) -> None:
    held, odd = leave(tmp_path, "held"), leave(tmp_path, "odd", state=TaskState.CLEANING)
    writer = StreamWriter(held.runner)
    result = look(tmp_path, "gc", "--force", "--delete-data", "--delete-metadata", "held", "odd")
    writer.close()
    assert result.exit_code == 1
    assert "Could not collect held: Unable to open checkpoint" in result.stderr
    assert "Could not collect odd: it is CLEANING, says its checkpoint\n" in result.stderr
    assert held.finished.exists()
    assert odd.finished.exists()
    assert (tmp_path / "sandboxes" / "held" / "data").exists()


def test_a_sandbox_that_others_need_stays(tmp_path: Path) -> None:
    leave(tmp_path, "over", sandbox=tmp_path / "shared")
    leave(tmp_path, "goes-on", sandbox=tmp_path / "shared", active=True)
    result = look(tmp_path, "gc", "--force", "--delete-data", "over")
    assert f"the sandbox {tmp_path}/shared of over is another task's too\n" in result.stderr
    assert (tmp_path / "shared" / "data").exists()


@pytest.mark.parametrize(
    ("sandbox", "reason"),
    [
        ("/home/me", "holds /home/me"),
        ("/home", "holds /home/me"),
        ("/other", "is another task's too"),
        ("/other/below", "is another task's too"),
        ("relative", "is no absolute path"),
        ("/home/me/../you", "is no absolute path"),
        ("/home/me/sandbox", None),
    ],
)
def test_folders_that_must_stay(sandbox: str, reason: str | None) -> None:
    left = Leftover(TaskPaths(Path("/root"), "t"), 0, RunnerHeader("t"), Path(sandbox), None)
    safe, reasons = without(left, [Path("/other")], [Path("/home/me")])
    assert reasons == ([] if reason is None else [f"the sandbox {sandbox} of t {reason}"])
    assert safe.sandbox == (Path(sandbox) if reason is None else None)


def test_damaged_checkpoints_take_nothing_with_them(tmp_path: Path) -> None:
    paths = leave(tmp_path, "t")
    paths.runner.write_bytes(b"\xff" * 8)
    shown = look(tmp_path, "gc", "--force", "t", "--delete-data", "--delete-metadata").stdout
    assert "Task t data (keeping) logs (keeping) metadata (deleting) done." in shown
    assert gone(paths)
    assert (tmp_path / "sandboxes" / "t" / "data").exists()


def test_a_header_of_another_task_is_not_believed(tmp_path: Path) -> None:
    leave(tmp_path, "victim")
    thief = leave(tmp_path, "thief")
    thief.runner.write_bytes(TaskPaths(tmp_path, "victim").runner.read_bytes())
    assert Leftover.of(thief).sandbox is None


def test_links_are_not_followed(tmp_path: Path) -> None:
    leave(tmp_path, "t")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (tmp_path / "sandboxes" / "t" / "link").symlink_to(precious)
    look(tmp_path, "gc", "--force", "t", "--delete-data", "--delete-logs")
    assert (precious / "file").exists()
    assert not (tmp_path / "sandboxes" / "t").exists()


@AS_ROOT
def test_what_a_users_checkpoint_names_is_removed_with_that_users_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    precious = tmp_path / "precious"
    precious.mkdir(mode=0o755)
    (precious / "file").touch()
    paths = leave(tmp_path, "t", sandbox=precious)
    for file in (paths.runner, paths.runner.parent, paths.finished):
        os.chown(file, NOBODY, NOBODY)
    with pytest.raises(Failed, match="Permission denied"):
        remove(Leftover.of(paths), Parts(data=True, logs=True, metadata=True))
    assert (precious / "file").exists()


@AS_ROOT
def test_a_sandbox_is_emptied_with_the_rights_of_its_user(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    paths = leave(tmp_path, "t", uid=NOBODY)
    sandbox = tmp_path / "sandboxes" / "t"
    left = Leftover.of(paths)
    with pytest.raises(Failed, match="not permitted"):
        remove(left, Parts(data=True, logs=True, metadata=True))
    assert paths.finished.exists()
    for folder, _, files in os.walk(sandbox):
        for name in (Path(folder), *(Path(folder, file) for file in files)):
            os.chown(name, NOBODY, NOBODY)
    remove(left, Parts(data=True, logs=True, metadata=True))
    assert gone(paths)
    assert not sandbox.exists()
