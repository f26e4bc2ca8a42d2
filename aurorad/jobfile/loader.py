"""Run a job file and see which jobs it defines (config-schema sheet, section 3).

A job file is its author's own Python program: it is run in the author's process with all the rights that has, never in
the scheduler.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aurorad.jobfile import choices, explain, namespace
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.schema.aurora import Job


class JobFile(NamedTuple):
    """What a file defined, as Pystachio objects; `hooks` are whatever objects the file lists."""

    jobs: tuple[Any, ...]
    hooks: tuple[object, ...]


def load(path: Path) -> JobFile:
    """Run the file. Raises `ConfigError` that names file and line."""
    names = namespace.fresh()
    runner = _Runner(names)
    names["include"] = runner.include
    runner.run(path)
    return JobFile(_jobs(path, names.get("jobs", ())), _list(path, "hooks", names.get("hooks", ())))


def load_json(path: Path) -> JobFile:
    """``{"jobs": [...]}`` or one job object. Raises `ConfigError` that names file, line or key."""
    try:
        data = json.loads(_read(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f'{path}: {{"jobs": [...]}} or one job object was expected, not a {type(data).__name__}')
    listed = data.get("jobs", [data])
    try:
        return JobFile(tuple(Job(choices.resolve(Job, job)) for job in listed), ())
    except (AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None


class _Runner:
    """Runs a file and, in the same namespace, those it includes."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._stack: list[Path] = []
        self._seen: set[str] = set()

    def include(self, path: str) -> None:
        """Run another file here; a relative path starts at the including file's folder."""
        self.run(self._stack[-1].parent / path)

    def run(self, path: Path) -> None:
        if path.resolve() in self._stack:
            raise ConfigError(f"{path} includes itself: {' -> '.join(map(str, [*self._stack, path]))}")
        source = _read(path)
        self._seen.add(str(path))
        with self._entered(path):
            try:
                code = compile(source, str(path), "exec", dont_inherit=True)
                exec(code, self._names)  # noqa: S102 - running the author's file is the point
            except ConfigError:
                raise
            except SyntaxError as error:
                raise ConfigError(explain.syntax_error(path, error)) from None
            except (Exception, SystemExit) as error:
                raise ConfigError(explain.failure(path, self._seen, error)) from error

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


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"Could not load resource {path}: {error.strerror}") from None


def _jobs(path: Path, listed: object) -> tuple[Any, ...]:
    jobs = _list(path, "jobs", listed)
    for job in jobs:
        if not isinstance(job, Job):
            raise ConfigError(f"{path}: jobs must be a list of Job objects, and it holds a {type(job).__name__}")
    return jobs


def _list(path: Path, name: str, listed: object) -> tuple[object, ...]:
    if not isinstance(listed, list | tuple):
        raise ConfigError(f"{path}: {name} must be a list, and it is {listed!r}")
    return tuple(listed)
