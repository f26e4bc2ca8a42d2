"""What the daemon refuses to start on."""

import os
from pathlib import Path

import pytest

from aurorad.daemon import run
from aurorad.flags import Flags
from aurorad.startup import CannotStart


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
