"""Run a job file, and in the same namespace those it includes (config-schema sheet, section 3).

A job file is its author's own Python program: it is run in the author's process with all the rights that has, never in
the scheduler or in an executor.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aurorad.jobfile import explain
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.schema.origins import Recorder, recording


def run(path: Path, names: dict[str, Any]) -> tuple[str, ...]:
    """Run the file in the namespace `names`, to which `include` is added; what to tell its author of.

    Raises `ConfigError` that names file and line.
    """
    recorder = Recorder()
    runner = _Runner(names, recorder)
    names["include"] = runner.include
    with recording(recorder):
        runner.run(path)
    return recorder.warnings()


def read(path: Path) -> bytes:
    """Raises `ConfigError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"Could not load resource {path}: {error.strerror}") from None


class _Runner:
    def __init__(self, names: dict[str, Any], recorder: Recorder) -> None:
        self._names = names
        self._recorder = recorder
        self._stack: list[Path] = []

    def include(self, path: str) -> None:
        """Run another file here; a relative path starts at the including file's folder."""
        including = self._stack[-1]
        if not including.is_file():  # a pipe has no folder
            raise ConfigError(f"{self._recorder.here()}: You may not include() anything from filelike objects.")
        self.run(including.parent / path)

    def run(self, path: Path) -> None:
        if path.resolve() in self._stack:
            raise ConfigError(f"{path} includes itself: {' -> '.join(map(str, [*self._stack, path]))}")
        source = read(path)
        self._recorder.files.add(str(path))
        with self._entered(path):
            try:
                exec(_compiled(source, path), self._names)  # noqa: S102 - running the author's file is the point
            except ConfigError:
                raise
            except SyntaxError as error:
                raise ConfigError(explain.syntax_error(path, error)) from None
            except (Exception, SystemExit) as error:
                text = explain.failure(path, self._recorder.files, self._names, error)
                raise ConfigError(text) from error

    @contextmanager
    def _entered(self, path: Path) -> Iterator[None]:
        outer = self._names.get("__file__")
        self._stack.append(path.resolve())
        self._names["__file__"] = str(path.resolve())
        try:
            yield
        finally:
            self._stack.pop()
            self._names["__file__"] = outer


def _compiled(source: bytes, path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # '\d' in a command line: a matter of taste to Python 2, and to us
        return compile(source, str(path), "exec", dont_inherit=True)
