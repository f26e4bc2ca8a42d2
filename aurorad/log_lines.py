"""How a record looks in the daemon's log: nobody outside can write one, whatever they have us log."""

from __future__ import annotations

import logging

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != ord("\n")}


def spelled_out(text: str) -> str:
    """The text, in which what would command a terminal is spelled out; lines stay."""
    return text.translate(_CONTROLS)


class LogLines(logging.Formatter):
    """Only a record begins at the begin of a line: what has several lines goes on further in. What would command a
    terminal is spelled out."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname).1s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return spelled_out(super().format(record)).replace("\n", "\n  ")
