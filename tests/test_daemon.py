"""What the daemon refuses to start on, and how it ends."""

import os
from pathlib import Path

import pytest
import trio

from aurorad.daemon import _Daemon, run
from aurorad.engine.mesos.engine import FrameworkFailed, FrameworkRemoved
from aurorad.flags import Flags
from aurorad.leader.face import Defeated, ZooKeeperRefused
from aurorad.lifecycle import StartAgain
from aurorad.log.errors import LogFailed, LogInUse, LogLost, NotElected
from aurorad.main import main
from aurorad.notify import Notifier
from aurorad.scheduler.service import EngineGone
from aurorad.startup import CannotStart, InUse, check_work_dir
from aurorad.storage.storage import OutcomeUnknown, StorageNotReady


def why_not(work_dir: Path) -> str:
    with pytest.raises(CannotStart) as refused:
        run(Flags(work_dir=work_dir, http_port=0, observer_port=0))
    return str(refused.value)


def test_a_work_dir_that_holds_other_things_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "passwd").touch()
    tmp_path.chmod(0o755)
    assert (
        why_not(tmp_path)
        == f"-work_dir={tmp_path} cannot be used: other things are kept there, and aurorad wants it alone"
    )
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert os.listdir(tmp_path) == ["passwd"]


def test_a_log_that_was_begun_in_the_work_dir_is_no_other_thing(tmp_path: Path) -> None:
    (tmp_path / "member").mkdir()
    with pytest.raises(CannotStart, match="other things are kept there"):
        check_work_dir(tmp_path)
    with pytest.raises(CannotStart, match="other things are kept there"):
        check_work_dir(tmp_path, tmp_path / "another", None)
    check_work_dir(tmp_path, tmp_path / "member", None)
    (tmp_path / "member" / "deep").mkdir()
    check_work_dir(tmp_path, Path("/elsewhere"), tmp_path / "member" / "deep")


@pytest.mark.parametrize("below", [".", "sub"])
def test_a_file_in_place_of_the_work_dir_is_told(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / below
    assert why_not(place) == f"-work_dir={place} cannot be used: a file is in its place"


def test_a_work_dir_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path)  # whoever runs the tests, root too
    assert why_not(tmp_path) == f"-work_dir={tmp_path} cannot be used: this user may not read and write {tmp_path}"


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ("--nosetuid --what", "unknown flag --what: -help lists those there are"),
        ("'--announcer-hostname=x", "No closing quotation"),
    ],
)
def test_flags_of_executors_are_checked_first(tmp_path: Path, flags: str, text: str) -> None:
    with pytest.raises(CannotStart) as refused:
        run(Flags(work_dir=tmp_path / "w", http_port=0, observer_port=0, thermos_executor_flags=flags))
    assert str(refused.value) == f"-thermos_executor_flags cannot be used: {text}"
    assert not (tmp_path / "w").exists()


def test_a_host_name_that_nobody_knows_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        CannotStart, match=r"cannot listen on no\.such\.host\.invalid:0: .*-hostname, must be an address of"
    ):
        run(Flags(work_dir=tmp_path / "w", hostname="no.such.host.invalid", http_port=0, observer_port=0))


# --- How it ends ---


def ended_by(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *errors: Exception, because: str | None = None, told: bool = False
) -> None:
    """`run` of a daemon in which these errors come out of tasks, perhaps after its end has begun."""

    async def failing(self: _Daemon) -> None:
        await trio.lowlevel.checkpoint()
        if told:
            self.ending.told("SIGTERM")
        if because is not None:
            self.ending.because(because)
        if errors:
            raise ExceptionGroup("tasks", [ExceptionGroup("a task", [error]) for error in errors])

    monkeypatch.setattr(_Daemon, "run", failing)
    run(Flags(work_dir=tmp_path / "w"))


@pytest.mark.parametrize(
    "error",
    [
        LogLost("a later proposal"),
        NotElected("no quorum"),
        EngineGone("it"),
        LogFailed("disk"),
        Defeated("expired"),
        FrameworkFailed("superseded"),
    ],
)
def test_who_cannot_lead_any_more_wants_to_be_started_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(StartAgain, match=f"^{error}$"):
        ended_by(monkeypatch, tmp_path, StorageNotReady("Storage has stopped"), error, OutcomeUnknown("perhaps"))


def test_a_framework_that_was_removed_is_an_operators_business(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=r"^removed$"):
        ended_by(monkeypatch, tmp_path, FrameworkRemoved("removed"), StorageNotReady("Storage has stopped"))


def test_the_reason_it_gave_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(StartAgain, match=r"^promise lost$"):
        ended_by(monkeypatch, tmp_path, LogLost("closed"), because="promise lost")
    with pytest.raises(StartAgain, match=r"^led for long$"):
        ended_by(monkeypatch, tmp_path, because="led for long")


def test_who_was_told_to_end_and_lost_the_log_meanwhile_has_done_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended_by(monkeypatch, tmp_path, LogLost("a later proposal"), told=True)
    assert "while it ended: a later proposal" in caplog.text


def test_what_is_wrong_outside_is_told_before_what_follows_from_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(CannotStart, match=r"^bad credentials$"):
        ended_by(monkeypatch, tmp_path, ZooKeeperRefused("bad credentials"), LogLost("closed"))


@pytest.mark.parametrize("told", [False, True])
def test_a_defect_is_one_whatever_else_happens(told: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as defect:
        ended_by(monkeypatch, tmp_path, LogLost("closed"), ValueError("ours"), told=told)
    assert defect.group_contains(ValueError, match="ours")
    with pytest.raises(ExceptionGroup):
        ended_by(monkeypatch, tmp_path, StorageNotReady("for no reason"))


def test_what_another_process_holds_may_be_free_in_a_moment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InUse, match=r"^held$"):
        ended_by(monkeypatch, tmp_path, LogInUse("held"))
    with pytest.raises(CannotStart) as wrong:
        ended_by(monkeypatch, tmp_path, LogInUse("held"), ZooKeeperRefused("no"))
    assert not isinstance(wrong.value, InUse)


@pytest.mark.parametrize(
    ("error", "status"),
    [(StartAgain("x"), 75), (InUse("x"), 75), (CannotStart("x"), 1), (ValueError("x"), 70), (None, 0)],
)
def test_the_exit_status_tells_a_supervisor_what_to_do(
    error: Exception | None, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ending(flags: Flags, notifier: Notifier) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr("aurorad.daemon.run", ending)
    assert main([f"-work_dir={tmp_path}"]) == status
