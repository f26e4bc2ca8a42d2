"""From the jobs of a file to one evaluated job (config-schema sheet, sections 8, 10 and 11)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
from pystachio import Empty, MustacheParser, Ref
from pystachio.base import Object
from pystachio.matcher import Any as AnyIndex
from pystachio.matcher import Matcher

from aurorad.jobfile import checks, numbers, plan, ports, where
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.schema import older
from aurorad.jobfile.values import Job

# The names that older files use for parts of the job itself.
_STANDARD_BINDINGS = {"mesos.role": "{{role}}", "mesos.cluster": "{{cluster}}", "thermos.user": "{{role}}"}
_AT_RUN_TIME = frozenset(map(Ref.from_address, ("thermos.task_id", "mesos.instance", "mesos.hostname")))
_IMAGES = Matcher("docker").image[AnyIndex][AnyIndex]


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
def templates_explained(evaluated: Any = None) -> Iterator[None]:
    """Reading any field resolves its templates, so each reader may meet one that cannot be.

    `evaluated` is what to look in for the place of it.
    """
    try:
        yield
    except Ref.InvalidRefError as error:
        text = f"A template in double braces cannot be read: {error}. To have braces as they are, write {{{{&name}}}}"
    except MustacheParser.Uninterpolatable as error:
        text = f"A template refers to itself: {error}"
    except (Object.CoercionError, AttributeError, OverflowError) as error:
        text = f"Job not fully specified: {error}"
    else:
        return
    raise ConfigError(text if evaluated is None else text + where.culprit(evaluated, where.failing))


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


@templates_explained()
def describe(job: Any) -> str:
    """``cluster/role/environment/name`` with ``{MISSING}`` for what is not set."""
    return "/".join(_text(part, "{MISSING}") for part in (job.cluster(), job.role(), job.environment(), job.name()))


def _text(value: Any, missing: str) -> str:
    return missing if value is Empty else str(value)


@templates_explained()
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


def evaluate(job: Any, image: Callable[[str, str], str] | None = None) -> JobConfig:
    """Resolve the templates that can be resolved now and check the job. Raises `ConfigError`.

    `image` gives a value for ``{{docker.image[name][tag]}}`` and may raise `ConfigError` too; without it, these are
    unbound.
    """
    with templates_explained(job):
        return _evaluated(job, image)


def _evaluated(job: Any, image: Callable[[str, str], str] | None) -> JobConfig:
    _require(job)
    _check_types(job.bind(checks.ANY_INSTANCE))
    source, refs = job.interpolate()
    if image is not None and any(ref.address().startswith("docker.image[") for ref in refs):
        job = _IMAGES.apply(lambda _, __, name, tag: image(name, tag), job)
        source, refs = job.interpolate()
    _check_refs(job, refs)
    plain = _plain(job, source)
    numbers.check(job, plain, source)
    task = where.field(job, "task")
    mentioned = checks.ports_of(task) if refs else frozenset()
    try:
        if refs:
            checks.plan_of(task, ports.referenced(refs), checks.ANY_INSTANCE)
        else:
            plan.check(plain.task)
    except ConfigError as error:
        raise ConfigError(f"Task is invalid: {error}{where.at(job, 'task')}") from None
    return JobConfig(plain, source, mentioned)


def _require(job: Any) -> None:
    name = _text(job.name(), "?")
    place = where.at(job, "")
    for field in ("cluster", "task", "role"):
        if not getattr(job, f"has_{field}")():
            raise ConfigError(f'The configuration was invalid: {field.capitalize()} required for job "{name}"{place}')
    task = where.field(job, "task")
    if not task.has_processes() or not where.processes(task):
        text = f'The configuration was invalid: Processes required for task on job "{name}"'
        raise ConfigError(f"{text}{where.at(job, 'task')}")


def _check_types(trial: Any) -> None:
    checked = trial.check()
    if checked.ok():
        return
    task = where.field(trial, "task")
    of_task = task.check()
    if not of_task.ok():
        place = where.culprit(task, where.failing, "task")
        raise ConfigError(f"Task is invalid: Failed to fully evaluate task: {of_task.message()}{place}")
    raise ConfigError(f"Job not fully specified: {checked.message()}{where.culprit(trial, where.failing)}")


def _check_refs(job: Any, refs: Sequence[Ref]) -> None:
    """Only what is bound at run time may be left."""
    unbound = [ref for ref in refs if ref not in _AT_RUN_TIME and not checks.PORTS.scoped_to(ref)]
    if not unbound:
        return
    shown = " ".join(sorted(map(str, unbound)))
    hint = f": packer {older.NO_PACKER}" if any(ref.action().value == "packer" for ref in unbound) else ""
    raise ConfigError(f"Config contains unbound variables: {shown}{where.culprit(job, where.leaving(unbound))}{hint}")


def _plain(job: Any, source: Any) -> Job:
    try:
        return msgspec.convert(source.get(), Job)
    except msgspec.ValidationError as error:
        path = str(error).partition("`$.")[2].removesuffix("`")
        text = f"Job not fully specified: {path} must be the same for every instance"
        raise ConfigError(f"{text}{where.at(job, path)}") from None
