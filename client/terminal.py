"""What the command prints and where: results on stdout, errors and log lines on stderr (client-commands sheet, 1.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from client.display import Bar, Display


# What would command a terminal: messages of tasks and updates come from whoever may make some.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


@dataclasses.dataclass
class Terminal:
    """All text is plain, on a terminal and elsewhere; only who waits in front of a terminal sees something move."""

    stdout: TextIO
    stderr: TextIO
    verbose: bool = False
    quiet: bool = False
    """No log lines."""
    results_logged: bool = False
    """Results are log lines, too."""
    _bar: Bar | None = None

    def out(self, text: str) -> None:
        """A result."""
        if self.results_logged:
            self.info(text)
        else:
            self._print(text, self.stdout)

    def error(self, text: str) -> None:
        """A sentence about what went wrong."""
        self._print(text, self.stderr)

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

    @contextmanager
    def display(self) -> Iterator[Display]:
        """For as long as something is waited for."""
        from client.display import Bar, Lines

        if self.quiet or not self.stderr.isatty():
            yield Lines(self.info)
            return
        self._bar = Bar(self.stderr)
        try:
            yield self._bar
        finally:
            self._bar.end()
            self._bar = None

    def _log(self, level: str, text: str) -> None:
        if not self.quiet:
            self.error(f"{level:>5}] {text}")

    def _print(self, text: str, stream: TextIO) -> None:
        shown = text.translate(_CONTROLS) if stream.isatty() else text
        if self._bar is None:
            print(shown, file=stream, flush=True)
        else:
            self._bar.aside(lambda: print(shown, file=stream, flush=True))
