"""What went wrong in a job file, said so that its author can mend it."""

from __future__ import annotations

import builtins
import sys
import traceback
from collections.abc import Collection
from pathlib import Path

from aurorad.jobfile import python2
from aurorad.jobfile.schema.kinds import UnknownField, closest


def syntax_error(path: Path, error: SyntaxError) -> str:
    line = (error.text or "").strip()
    place = f"{error.filename or path}:{error.lineno or 1}"
    shown = f": {line}" if line else ""
    return f"{place}: {type(error).__name__}: {error.msg}{shown}{python2.syntax_hint(line)}"


def failure(path: Path, files: Collection[str], names: Collection[str], error: BaseException) -> str:
    """An exception that the code in `files` raised, with the innermost line of them that was being run.

    `names` are those that the code could have used.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in files]
    kind = "AttributeError" if isinstance(error, UnknownField) else type(error).__name__
    return f"{places[-1] if places else path}: {kind}: {error}{_hint(error, names)}"


def _hint(error: BaseException, names: Collection[str]) -> str:
    hint = python2.runtime_hint(str(error))
    if hint:
        return hint
    if isinstance(error, NameError) and error.name in sys.stdlib_module_names:
        return f" (import {error.name} first)"
    if isinstance(error, NameError) and error.name:
        return closest(error.name, [*names, *dir(builtins)])
    if isinstance(error, AttributeError) and error.name:
        return closest(error.name, dir(error.obj))
    return ""
