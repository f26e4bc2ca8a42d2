"""The executor's own log (executor sheet, section 14)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.flags import parse
from executor.log import log_to


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def say() -> None:
    log = logging.getLogger("executor.some")
    log.debug("detail")
    log.info("news")
    log.warning("odd")
    log.error("bad %s", "thing")
    log.critical("over")


def test_the_file_begins_with_its_story_and_has_googles_lines(tmp_path: Path) -> None:
    file = tmp_path / "executor.log"
    log_to(file, parse([]), ["--nosetuid"])
    say()
    created, machine, form, command, *lines = file.read_text().splitlines()
    assert re.fullmatch(r"Log file created at: \d{4}/\d\d/\d\d \d\d:\d\d:\d\d", created)
    assert machine.startswith("Running on machine: ")
    assert form == "[DIWEF]mmdd hh:mm:ss.uuuuuu pid file:line] msg"
    assert command == "Command line: aurorad -role=executor --nosetuid"
    assert [line[0] for line in lines] == ["I", "W", "E", "F"]
    assert re.fullmatch(r"E\d{4} \d\d:\d\d:\d\d\.\d{6} \d+ test_log\.py:\d+\] bad thing", lines[2])


def test_standard_error_has_errors_in_plain_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log_to(tmp_path / "executor.log", parse([]), [])
    say()
    assert capsys.readouterr().err == "ERROR] bad thing\nFATAL] over\n"


def test_flags_set_levels_and_styles(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "executor.log"
    log_to(file, parse(["--log_to_disk=plain:DEBUG", "--log_to_stderr=google:WARN"]), [])
    say()
    assert file.read_text() == "DEBUG] detail\n INFO] news\n WARN] odd\nERROR] bad thing\nFATAL] over\n"
    assert [line[0] for line in capsys.readouterr().err.splitlines()] == ["W", "E", "F"]


def test_an_executor_that_takes_over_goes_on_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "executor.log"
    file.write_text("before\n")
    log_to(file, parse([]), [])
    say()
    lines = file.read_text().splitlines()
    assert lines[0] == "before"
    assert len(lines) == 5
