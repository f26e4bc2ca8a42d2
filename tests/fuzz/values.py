"""Random calls, many a second: hypothesis finds better ones, but a hundred a second."""

from __future__ import annotations

import random
from typing import Any, TypeVar

from frozendict import frozendict

from aurorad.api.calls import CALLS, Call, CommitRecovery, CreateJob, PerformBackup, Snapshot, StageRecovery
from aurorad.api.struct import Base, EnumOf, ListOf, MapOf, SetOf, StructOf, ThriftStruct, ThriftUnion, Type, fields_of
from aurorad.api.tasks import JobConfiguration, JobKey, Resource, TaskConfig

S = TypeVar("S", bound=ThriftStruct)

# What ends the scheduler, or fills the disk if it is done all the time; mutants may hit on them all the same.
_LEFT_OUT = (CommitRecovery, PerformBackup, Snapshot, StageRecovery)
_TEXTS = (
    "",
    " ",
    "www",
    "prod",
    "web",
    "a b",
    "*",
    "0 3 * * *",
    "preemptible",
    "host",
    "ä\u2028",
    "x" * 300,
    "{}",
    "\0",
)
_NUMBERS = (0, 1, -1, 2, 7, 100, 4000, 2**31 - 1, -(2**31))
_DOUBLES = (0.0, 1.0, -1.0, 0.1, 1e300, float("inf"), float("nan"))
_MOST_ELEMENTS = 3


def any_call(numbers: random.Random) -> Call:
    """Of any method; now and then one that the scheduler will do."""
    if numbers.random() < 0.05:
        return _good_job(numbers)
    calls = [cls for cls in CALLS.values() if cls not in _LEFT_OUT]
    return _struct(numbers.choice(calls), numbers)


def _good_job(numbers: random.Random) -> CreateJob:
    job = JobKey(numbers.choice(("www", "ads")), "prod", numbers.choice("abcdef"))
    resources = frozenset({Resource(num_cpus=1.0), Resource(ram_mb=1), Resource(disk_mb=1)})
    task = TaskConfig(job, is_service=True, resources=resources, tier="preemptible")
    return CreateJob(JobConfiguration(job, task_config=task, instance_count=numbers.randint(1, 3)))


def _struct(cls: type[S], numbers: random.Random) -> S:
    fields = fields_of(cls)
    if issubclass(cls, ThriftUnion):
        fields = (numbers.choice(fields),)
    given = [f for f in fields if not f.nullable or len(fields) == 1 or numbers.random() < 0.7]
    return cls(**{f.attribute: _value(f.type, numbers) for f in given})


def _value(t: Type, numbers: random.Random) -> Any:
    match t:
        case Base("bool"):
            return numbers.random() < 0.5
        case Base("i32"):
            return numbers.choice(_NUMBERS)
        case Base("i64"):
            return numbers.choice((*_NUMBERS, 2**63 - 1, -(2**63)))
        case Base("double"):
            return numbers.choice(_DOUBLES)
        case Base("binary"):
            return numbers.randbytes(3)
        case Base():
            return numbers.choice(_TEXTS)
        case EnumOf(enum):
            return numbers.choice(list(enum))
        case StructOf(struct):
            return _struct(struct, numbers)
        case ListOf(element):
            return tuple(_elements(element, numbers))
        case SetOf(element):
            return frozenset(_elements(element, numbers))
        case MapOf(key, value):
            return frozendict(
                zip(_elements(key, numbers), (_value(value, numbers) for _ in range(_MOST_ELEMENTS)), strict=False)
            )


def _elements(t: Type, numbers: random.Random) -> list[Any]:
    return [_value(t, numbers) for _ in range(numbers.randrange(_MOST_ELEMENTS))]
