"""What hooks are given: the job of a file, a job's key and the scheduler's answers, under the names they always had."""

from __future__ import annotations

import dataclasses
from typing import Any

from aurorad.api.struct import ThriftStruct, fields_of
from aurorad.api.tasks import JobConfiguration, JobKey
from client.arguments import JobPath


class View:
    """A struct of the API whose fields are found by their names in the API, as `responseCode`."""

    def __init__(self, value: ThriftStruct) -> None:
        self._value = value

    def __getattr__(self, name: str) -> Any:
        for field in fields_of(type(self._value)):
            if name in (field.name, field.attribute):
                return view(getattr(self._value, field.attribute))
        raise AttributeError(f"{type(self._value).__name__} has no field {name}")

    def __repr__(self) -> str:
        return repr(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, View) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


def view(value: object) -> Any:
    """Structs within collections too; all else is as it was."""
    match value:
        case ThriftStruct():
            return View(value)
        case tuple():
            return [view(inner) for inner in value]
        case frozenset():
            return {view(inner) for inner in value}
    return value


@dataclasses.dataclass(frozen=True)
class HookJobKey:
    """As text it is ``cluster/role/env/name``."""

    cluster: str
    role: str
    env: str
    name: str

    @classmethod
    def of(cls, path: JobPath) -> HookJobKey:
        return cls(path.cluster, path.key.role, path.key.environment, path.key.name)

    @property
    def environment(self) -> str:
        return self.env

    def to_path(self) -> str:
        return f"{self.cluster}/{self.role}/{self.env}/{self.name}"

    def to_thrift(self) -> Any:
        return view(JobKey(self.role, self.env, self.name))

    def __str__(self) -> str:
        return self.to_path()


@dataclasses.dataclass(frozen=True)
class HookConfig:
    """The job of a file: what it says, and what is sent to the scheduler."""

    key: HookJobKey
    sent: JobConfiguration
    source: Any
    """The evaluated job, as a Pystachio object."""
    hooks: tuple[object, ...]

    def name(self) -> str:
        return self.key.name

    def role(self) -> str:
        return self.key.role

    def cluster(self) -> str:
        return self.key.cluster

    def environment(self) -> str:
        return self.key.env

    def job_key(self) -> HookJobKey:
        return self.key

    def instances(self) -> int:
        return self.sent.instance_count

    def raw(self) -> Any:
        return self.source

    def job(self) -> Any:
        return view(self.sent)

    def task(self, instance: int) -> Any:
        return self.source.task().bind(mesos={"instance": instance})

    def update_config(self) -> Any:
        return self.source.update_config()
