"""How far long work is: a bar on a terminal, lines in the log elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TextIO


class Display(Protocol):
    """What somebody who waits looks at."""

    def show(self, what: str, done: int, total: int) -> None:
        """``what: done of total``."""


class Lines:
    """A line whenever something has changed."""

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._told: tuple[str, int, int] | None = None

    def show(self, what: str, done: int, total: int) -> None:
        if (what, done, total) != self._told:
            self._told = (what, done, total)
            self._log(f"{what}: {done} of {total}")


class Bar:
    """Below whatever is printed meanwhile; it leaves no trace."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._progress = Progress(
            *columns,
            TimeElapsedColumn(),
            console=Console(file=stream, markup=False, highlight=False),
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None)
        self._shown = False

    def show(self, what: str, done: int, total: int) -> None:
        self._progress.update(self._task, description=what, completed=done, total=total)
        if not self._shown:
            self._shown = True
            self._progress.start()

    def aside(self, write: Callable[[], None]) -> None:
        """Out of the way while `write` writes."""
        if self._shown:
            self._progress.stop()
        write()
        if self._shown:
            self._progress.start()

    def end(self) -> None:
        if self._shown:
            self._progress.stop()
