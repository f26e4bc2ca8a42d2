"""Checks of one task, on whatever it is run (config-schema sheet, section 11)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from pystachio import Ref

from aurorad.jobfile import plan, ports, where
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.values import Task

PORTS = Ref.from_address("thermos.ports")
ANY_INSTANCE: Mapping[str, object] = {"mesos": {"instance": 31337, "hostname": ""}}


def ports_of(task: Any) -> frozenset[str]:
    """The ports that the processes mention. Raises `ConfigError` for another spelling."""
    return ports.referenced(where.field(task, "processes").interpolate()[1])


def plan_of(task: Any, mentioned: Iterable[str], instance: Mapping[str, object]) -> None:
    """With everything bound that is known when a task runs, nothing is left unbound and the processes can be run.

    `mentioned` are the ports, those too that something besides a process mentions; `instance` is what is bound for an
    instance of a job. Raises `ConfigError`.
    """
    context: dict[str, object] = {f"thermos.ports[{name}]": 31337 for name in mentioned}
    context |= {"thermos.task_id": "dummy", "thermos.user": "dummy"}
    resolved, left = task.bind(context, instance).interpolate()
    plan.check(msgspec.convert(resolved.get(), Task, strict=False))
    if left:
        named = " ".join(sorted(map(str, left)))
        raise ConfigError(f"Unexpected unbound refs: {named}. Make sure you are not nesting template variables.")
