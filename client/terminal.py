"""What the command prints and where: results on stdout, errors and log lines on stderr (client-commands sheet, 1.2)."""

from __future__ import annotations

import dataclasses
from typing import TextIO


@dataclasses.dataclass(frozen=True)
class Terminal:
    """All text is plain, on a terminal and elsewhere."""

    stdout: TextIO
    stderr: TextIO
    verbose: bool = False
    quiet: bool = False
    """No log lines."""

    def out(self, text: str) -> None:
        """A result."""
        print(text, file=self.stdout, flush=True)

    def error(self, text: str) -> None:
        """A sentence about what went wrong."""
        print(text, file=self.stderr, flush=True)

    def debug(self, text: str) -> None:
        if self.verbose:
            self._log("DEBUG", text)

    def info(self, text: str) -> None:
        self._log("INFO", text)

    def warn(self, text: str) -> None:
        self._log("WARN", text)

    def log_error(self, text: str) -> None:
        self._log("ERROR", text)

    def fatal(self, text: str) -> None:
        self._log("FATAL", text)

    def _log(self, level: str, text: str) -> None:
        if not self.quiet:
            self.error(f"{level:>5}] {text}")
