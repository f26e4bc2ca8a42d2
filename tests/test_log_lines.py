"""What the daemon's log looks like."""

from __future__ import annotations

import logging
import re

from aurorad.log_lines import LogLines

_BEGIN = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", re.MULTILINE)


def shown(message: str, error: Exception | None = None) -> str:
    told = (type(error), error, error.__traceback__) if error is not None else None
    return LogLines().format(logging.LogRecord("aurorad.http", logging.WARNING, __file__, 1, "%s", (message,), told))


def test_a_record_is_a_line_with_when_how_grave_and_whose() -> None:
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} W aurorad\.http: a host is gone", shown("a host is gone")
    )


def test_a_message_cannot_pass_for_two_records() -> None:
    text = shown("a\n2026-11-21 17:00:00,000 W aurorad: ann was here")
    assert len(_BEGIN.findall(text)) == 1
    assert text.endswith("a\n  2026-11-21 17:00:00,000 W aurorad: ann was here")


def test_an_error_cannot_either() -> None:
    try:
        raise ValueError("odd:\n2026-11-21 17:00:00,000 W aurorad: ann was here")
    except ValueError as error:
        text = shown("failed", error)
    assert "ann was here" in text
    assert len(_BEGIN.findall(text)) == 1


def test_a_message_cannot_command_the_terminal_that_shows_it() -> None:
    assert shown("a\r\x1b[2J\x9bb").endswith(r"a\x0d\x1b[2J\x9bb")
