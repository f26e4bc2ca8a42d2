"""From the jobs of a file to one evaluated job (config-schema sheet, sections 8, 10 and 11)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
from pystachio import Empty, MustacheParser, Ref
from pystachio.base import Object

from aurorad.jobfile import plan, ports
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.values import Job

# The names that older files use for parts of the job itself.
_STANDARD_BINDINGS = {"mesos.role": "{{role}}", "mesos.cluster": "{{cluster}}", "thermos.user": "{{role}}"}
_AT_RUN_TIME = frozenset(map(Ref.from_address, ("thermos.task_id", "mesos.instance", "mesos.hostname")))
_ANY_INSTANCE = {"mesos": {"instance": 31337, "hostname": ""}}


class Selector(NamedTuple):
    """Which job of a file is meant. None matches any."""

    cluster: str | None
    role: str | None
    environment: str | None
    name: str | None


@dataclasses.dataclass(frozen=True)
class JobConfig:
    """One evaluated, checked job."""

    job: Job
    source: Any  # the same as a Pystachio object, with only run-time templates left in it
    ports: frozenset[str]  # those that processes mention


@contextmanager
def _templates_explained() -> Iterator[None]:
    """Reading any field resolves its templates, so each reader may meet one that cannot be."""
    try:
        yield
    except Ref.InvalidRefError as error:
        raise ConfigError(
            f"A template in double braces cannot be read: {error}. To have braces as they are, write {{{{&name}}}}"
        ) from None
    except MustacheParser.Uninterpolatable as error:
        raise ConfigError(f"A template refers to itself: {error}") from None
    except (Object.CoercionError, AttributeError) as error:
        raise ConfigError(f"Job not fully specified: {error}") from None


def parse_binding(text: str) -> tuple[str, str]:
    """``name=value``. Raises `ValueError` that says what was expected."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("Binding parameter must be formatted name=value")
    try:
        Ref.from_address(name)
    except Ref.InvalidRefError as error:
        raise ValueError(f"Could not parse binding parameter {text}: {error}") from None
    return name, value


def bound(jobs: Sequence[Any], bindings: Sequence[tuple[str, str]]) -> list[Any]:
    """The jobs with the user's variables in scope; of two with the same name the later wins."""
    scopes: list[Mapping[str, str]] = [{name: value} for name, value in bindings]
    return [job.bind(*scopes, _STANDARD_BINDINGS) for job in jobs]


@_templates_explained()
def describe(job: Any) -> str:
    """``cluster/role/environment/name`` with ``{MISSING}`` for what is not set."""
    return "/".join(_text(part, "{MISSING}") for part in (job.cluster(), job.role(), job.environment(), job.name()))


def _text(value: Any, missing: str) -> str:
    return missing if value is Empty else str(value)


@_templates_explained()
def pick(jobs: Sequence[Any], wanted: Selector) -> Any:
    """The one job meant. Raises `ConfigError` that lists the jobs there are."""
    if not jobs:
        raise ConfigError("No job defined in this config!")
    if wanted.name is None:
        if len(jobs) > 1:
            raise ConfigError("Configuration has multiple jobs but no job name specified!")
        return jobs[0]
    matches = [job for job in jobs if _matches(job, wanted)]
    if len(matches) == 1:
        return matches[0]
    candidates = "Candidates are:\n" + "\n".join(f"  {describe(job)}" for job in jobs)
    if matches:
        raise ConfigError(f"Multiple jobs match, please disambiguate by specifying a job key.\n{candidates}")
    notes = [
        f"Job {describe(job)} in configuration file doesn't specify an environment"
        for job in jobs
        if job.environment() is Empty
    ]
    sought = "/".join(part or "*" for part in wanted)
    raise ConfigError("\n".join([f"Could not find job {sought}", *notes, candidates]))


def _matches(job: Any, wanted: Selector) -> bool:
    parts = (job.cluster(), job.role(), job.environment(), job.name())
    return all(want is None or _text(part, "") == want for want, part in zip(wanted, parts, strict=True))


@_templates_explained()
def evaluate(job: Any) -> JobConfig:
    """Resolve the templates that can be resolved now and check the job. Raises `ConfigError`."""
    _require(job)
    checked = job.bind(_ANY_INSTANCE).check()
    if not checked.ok():
        raise ConfigError(f"Job not fully specified: {checked.message()}")
    source, refs = job.interpolate()
    mentioned = ports.referenced(source.task().processes().interpolate()[1]) if refs else frozenset()
    _check_refs(refs, source, ports.referenced(refs))
    try:
        plain = msgspec.convert(source.get(), Job)
    except msgspec.ValidationError as error:
        raise ConfigError(f"Job not fully specified: {error}; it must be the same for every instance") from None
    plan.check(plain.task)
    return JobConfig(plain, source, mentioned)


def _require(job: Any) -> None:
    name = _text(job.name(), "?")
    for field in ("cluster", "task", "role"):
        if getattr(job, field)() is Empty:
            raise ConfigError(f'The configuration was invalid: {field.capitalize()} required for job "{name}"')
    processes = job.task().processes()
    if processes is Empty or not processes.get():
        raise ConfigError(f'The configuration was invalid: Processes required for task on job "{name}"')


def _check_refs(refs: Sequence[Ref], source: Any, mentioned: frozenset[str]) -> None:
    """Only what is bound at run time may be left, and with that bound nothing may be."""
    ports_root = Ref.from_address("thermos.ports")
    unbound = [ref for ref in refs if ref not in _AT_RUN_TIME and not ports_root.scoped_to(ref)]
    if unbound:
        raise ConfigError(f"Config contains unbound variables: {' '.join(sorted(map(str, unbound)))}")
    if not refs:
        return
    dummy = {f"thermos.ports[{name}]": "31337" for name in mentioned}
    _, left = source.task().bind({"thermos.task_id": "dummy", **dummy}, _ANY_INSTANCE).interpolate()
    if left:
        named = " ".join(sorted(map(str, left)))
        raise ConfigError(
            f"Task is invalid: Unexpected unbound refs: {named}. Make sure you are not nesting template variables."
        )
