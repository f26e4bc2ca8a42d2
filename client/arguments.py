"""What arguments may look like (client-commands sheet, section 3); a bad one is a usage error."""

from __future__ import annotations

import dataclasses
import re
from argparse import ArgumentTypeError
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from aurorad.api import keys
from aurorad.api.tasks import JobKey, TaskQuery

_DURATION = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)


_LAST_INSTANCE = 9_999_999  # far more than a job may have, and few enough to hold all of them
_HIDDEN = "\0"  # no argument can have one


def hidden(words: Sequence[str]) -> list[str]:
    """With each ``--`` but the first hidden, for argparse drops them all; `word` gives it back."""
    start = words.index("--") + 1 if "--" in words else len(words)
    return [*words[:start], *(f"{_HIDDEN}--" if word == "--" else word for word in words[start:])]


def word(text: str) -> str:
    return text.removeprefix(_HIDDEN)


@dataclasses.dataclass(frozen=True)
class JobPath:
    """A job of a cluster: ``cluster/role/environment/name``."""

    cluster: str
    key: JobKey

    def __str__(self) -> str:
        return f"{self.cluster}/{keys.canonical(self.key)}"


class JobInstances(NamedTuple):
    """A job and some of its instances; None means all."""

    path: JobPath
    instances: frozenset[int] | None


class JobInstance(NamedTuple):
    """One instance of a job."""

    path: JobPath
    instance: int


class JobPattern(NamedTuple):
    """Up to four parts, each of which may hold ``*`` globs; what is missing matches all."""

    cluster: str
    role: str
    environment: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)

    @property
    def exact(self) -> JobPath | None:
        """The one job meant, if no part holds a glob."""
        if any("*" in part for part in self):
            return None
        return JobPath(self.cluster, JobKey(self.role, self.environment, self.name))

    def matches(self, key: JobKey) -> bool:
        parts = ((key.role, self.role), (key.environment, self.environment), (key.name, self.name))
        return all(fnmatchcase(text, glob) for text, glob in parts)


def job_path(text: str) -> JobPath:
    parts = text.split("/")
    if len(parts) != 4:
        raise ArgumentTypeError(f"{text!r} is not a job key: CLUSTER/ROLE/ENV/NAME was expected")
    return JobPath(parts[0], _job_key(text, parts[1:]))


def _job_key(text: str, parts: Sequence[str]) -> JobKey:
    key = JobKey(*parts)
    if not keys.is_valid(key):
        raise ArgumentTypeError(
            f"{text!r} is not a job key: role, environment and name may hold letters, digits, '_', '-' and '.'"
        )
    return key


def job_instances(text: str) -> JobInstances:
    if not text:
        raise ArgumentTypeError("Instance specifier must be non-empty")
    parts = text.split("/")
    if len(parts) not in (4, 5):
        raise ArgumentTypeError("Instance specifier must be a CLUSTER/ROLE/ENV/JOB/INSTANCES tuple")
    path = JobPath(parts[0], _job_key(text, parts[1:4]))
    return JobInstances(path, instances(parts[4]) if len(parts) == 5 else None)


def instances(text: str) -> frozenset[int] | None:
    """``0,2,5-7``; nothing, or ``all``, is None."""
    if text in ("", "all"):
        return None
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not a list of instances such as 0,2,5-7") from None
        if high < low:
            raise ArgumentTypeError(f"Invalid instance range: {[first, last]}")
        if high > _LAST_INSTANCE:
            raise ArgumentTypeError(f"{text!r}: instances up to {_LAST_INSTANCE} were expected")
        found.update(range(low, high + 1))
    return frozenset(found)


def job_instance(text: str) -> JobInstance:
    parts = text.split("/")
    if len(parts) != 5:
        raise ArgumentTypeError(f"Task instance specifier {text} is not in the form CLUSTER/ROLE/ENV/NAME/INSTANCE")
    path = JobPath(parts[0], _job_key(text, parts[1:4]))
    if not (parts[4].isascii() and parts[4].isdecimal()):
        raise ArgumentTypeError(f"Instance must be an integer, but got {parts[4]}")
    if len(parts[4]) > len(str(_LAST_INSTANCE)):
        raise ArgumentTypeError(f"{text!r}: an instance up to {_LAST_INSTANCE} was expected")
    return JobInstance(path, int(parts[4]))


def duration(text: str) -> int:
    """``1d2h30m15s``, in seconds."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"Invalid time span: {text}")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def job_pattern(text: str) -> JobPattern:
    parts = text.split("/")
    if len(parts) > 4 or not parts[0]:
        raise ArgumentTypeError(f"{text!r}: CLUSTER[/ROLE[/ENV[/NAME]]] was expected")
    return JobPattern(*[part or "*" for part in parts], *["*"] * (4 - len(parts)))


def cluster_role(text: str) -> tuple[str, str]:
    cluster, _, role = text.partition("/")
    if not (cluster and role) or "/" in role:
        raise ArgumentTypeError("Role argument must be a CLUSTER/NAME pair")
    return cluster, role


def binding(text: str) -> tuple[str, str]:
    from aurorad.jobfile.jobs import parse_binding

    try:
        return parse_binding(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def query(key: JobKey) -> TaskQuery:
    """All tasks of one job."""
    return TaskQuery(job_keys=frozenset({key}))
