"""Where things are made while a job file is run, and what its author should be told of."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType


class Recorder:
    """Knows which files are job files; of what it is told to warn of, it keeps the first place."""

    def __init__(self) -> None:
        self.files: set[str] = set()
        self._warnings: dict[str, str | None] = {}

    def here(self) -> str | None:
        """``file:line`` of the innermost line of a job file that is being run."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename in self.files:
                return f"{frame.f_code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
        return None

    def warn(self, text: str) -> None:
        self._warnings.setdefault(text, self.here())

    def warnings(self) -> tuple[str, ...]:
        return tuple(text if place is None else f"{place}: {text}" for text, place in self._warnings.items())


_recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


def current() -> Recorder | None:
    """Set while a job file is run."""
    return _recorder.get()


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)
