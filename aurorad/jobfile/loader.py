"""Which jobs a job file defines (config-schema sheet, section 3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from aurorad.jobfile import namespace, running
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.schema.aurora import Job
from aurorad.jobfile.schema.kinds import ONCE_LISTS
from aurorad.jobfile.schema.origins import Recorder, recording


class JobFile(NamedTuple):
    """What a file defined, as Pystachio objects; `hooks` are whatever objects the file lists.

    `warnings` are for the author.
    """

    jobs: tuple[Any, ...]
    hooks: tuple[object, ...]
    warnings: tuple[str, ...] = ()


def load(path: Path) -> JobFile:
    """Run the file. Raises `ConfigError` that names file and line."""
    names = namespace.for_jobs()
    warnings = running.run(path, names)
    return JobFile(_jobs(path, names.get("jobs", ())), _hooks(path, names.get("hooks", ())), warnings)


def load_json(path: Path) -> JobFile:
    """``{"jobs": [...]}`` or one job object. Raises `ConfigError` that names file, line or key."""
    data = read_json(path, '{"jobs": [...]} or one job object')
    recorder = Recorder()
    try:
        with recording(recorder):
            jobs = tuple(Job(job) for job in _list(path, "jobs", data.get("jobs", [data])))
    except (AttributeError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return JobFile(jobs, (), tuple(f"{path}: {text}" for text in recorder.warnings()))


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """The object in the file. Raises `ConfigError` that names file and line."""
    try:
        data = json.loads(running.read(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: {expected} was expected, not a {type(data).__name__}")
    return data


def _jobs(path: Path, listed: object) -> tuple[Any, ...]:
    jobs = _list(path, "jobs", listed)
    for job in jobs:
        if not isinstance(job, Job):
            raise ConfigError(f"{path}: jobs must be a list of Job objects, and it holds a {type(job).__name__}")
    return jobs


def _hooks(path: Path, listed: object) -> tuple[object, ...]:
    """The manuals list classes and Aurora took objects: here both do."""
    hooks = _list(path, "hooks", listed)
    try:
        return tuple(hook() if isinstance(hook, type) else hook for hook in hooks)
    except Exception as error:  # it is the author's code that runs here
        raise ConfigError(f"{path}: hooks: {type(error).__name__}: {error}") from error


def _list(path: Path, name: str, listed: object) -> tuple[object, ...]:
    if isinstance(listed, (list, tuple, *ONCE_LISTS)):
        return tuple(listed)
    raise ConfigError(f"{path}: {name} must be a list, and it is {listed!r}")
