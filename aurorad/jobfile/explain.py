"""What went wrong in a job file, said so that its author can mend it."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Collection
from pathlib import Path
from types import TracebackType


def syntax_error(path: Path, error: SyntaxError) -> str:
    line = (error.text or "").strip()
    place = f"{error.filename or path}:{error.lineno or 1}"
    return f"{place}: {type(error).__name__}: {error.msg}" + (f": {line}" if line else "")


def failure(path: Path, files: Collection[str], error: BaseException) -> str:
    """An exception that the code in `files` raised, with the innermost line of them that was being run."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in files]
    text = f"{places[-1] if places else path}: {type(error).__name__}: {error}"
    if isinstance(error, ValueError) and "expects an iterable, got <" in text:
        text += " (in Python 3 map, filter and zip give no list: write list(...) around them)"
    if isinstance(error, AttributeError) and str(error).startswith("Unknown schema attribute"):
        text += _fields_hint(error)
    return text


def closest(word: str, known: Collection[str]) -> str:
    """`` (did you mean x?)``, or nothing when nothing is close."""
    matches = difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _fields_hint(error: AttributeError) -> str:
    """The fields of the struct that refused one: it is the `self` of the innermost call."""
    struct = _innermost(error.__traceback__)
    fields = getattr(struct, "TYPEMAP", None)
    if fields is None:
        return ""
    unknown = str(error).rsplit(" ", 1)[-1]
    return f"{closest(unknown, fields)}; {type(struct).__name__} has {', '.join(sorted(fields))}"


def _innermost(trace: TracebackType | None) -> object:
    found = None
    while trace is not None:
        found = trace.tb_frame.f_locals.get("self", found)
        trace = trace.tb_next
    return found
