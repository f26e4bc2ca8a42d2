"""Which executors there are, how they are started, and what they need for themselves (scheduling sheet, section 10;
flags sheet, section 5).

There is always `AuroraExecutor`, built in; an operator's file may add others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from frozendict import frozendict

from aurorad.api.enums import AURORA_EXECUTOR_NAME, Mode
from aurorad.api.tasks import TaskConfig, Volume
from aurorad.engine.mesos import tasks as wire
from aurorad.engine.mesos.messages import Resource
from aurorad.rules.resources import Bag, ResourceType

_IN_SANDBOX = "${MESOS_SANDBOX=.}"


class ExecutorError(ValueError):
    """A configuration of executors that cannot be used; the text says what is wrong with it."""


class Executor(msgspec.Struct, frozen=True):
    """One kind of executor."""

    prefix: str
    """An executor's id is this and the id of its task."""
    overhead: Bag
    """What it needs beside its task."""
    info: wire.Executor
    """Mesos' ExecutorInfo, which says how it is started. Its id, source, labels, container and resources become those
    of each task."""
    mounts: tuple[Volume, ...] = ()
    """What of a host each container of it sees."""


class ExecutorSettings(msgspec.Struct, frozen=True):
    """All executors by name."""

    by_name: Mapping[str, Executor]

    def overhead(self, config: TaskConfig) -> Bag:
        """What the executor of this task needs beside the task; nothing where there is none or it is not known."""
        executor = self.of(config)
        return executor.overhead if executor is not None else _NOTHING

    def prefix(self, config: TaskConfig) -> str | None:
        """What ids of its executors begin with; None for a task without an executor."""
        if config.executor_config is None:
            return None
        executor = self.of(config)
        return executor.prefix if executor is not None else ""

    def of(self, config: TaskConfig) -> Executor | None:
        return self.by_name.get(config.executor_config.name or "") if config.executor_config is not None else None


_NOTHING: Bag = frozendict()


def built_in(
    cpus: float,
    ram_mb: float,
    path: str = "",
    uris: Iterable[str] = (),
    arguments: str = "",
    home_in_sandbox: bool = False,
    mounts: tuple[Volume, ...] = (),
) -> Executor:
    """Our own, or the original's: `path` and `uris` are what is copied to the sandbox, and `path` is started there.

    Only an engine that starts it by its command heeds them.
    """
    home = f"HOME={_IN_SANDBOX} " if home_in_sandbox else ""
    command = f"{home}{_IN_SANDBOX}/{path.rpartition('/')[2]} {arguments}".strip()
    return Executor(
        prefix="thermos-",
        overhead=frozendict({ResourceType.CPUS: cpus, ResourceType.RAM_MB: ram_mb}),
        info=wire.Executor(
            type="CUSTOM",
            name=AURORA_EXECUTOR_NAME,
            command=wire.Command(  # noqa: S604 - for an agent's shell, by an operator
                tuple(wire.Uri(uri, executable=True) for uri in (path, *uris)),
                value=command,
                shell=True,
            ),
        ),
        mounts=mounts,
    )


BUILT_IN = ExecutorSettings(frozendict({AURORA_EXECUTOR_NAME: built_in(0.25, 128.0)}))
"""Without any flags."""


class _Mount(msgspec.Struct, forbid_unknown_fields=True):
    host_path: str
    container_path: str
    mode: str


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    executor: wire.Executor
    task_prefix: str
    volume_mounts: tuple[_Mount, ...] = ()


def parse(content: str | bytes) -> Mapping[str, Executor]:
    """Executors by name. A file is a list of ``{"executor": {"name": "a", "command": {...}, "resources": [...]},
    "task_prefix": "a-", "volume_mounts": [{"host_path": "/h", "container_path": "/c", "mode": "RO"}]}``; `executor` is
    Mesos' ExecutorInfo. Numbers and truth values may be quoted.

    Raises `ExecutorError`.
    """
    try:
        entries = msgspec.json.decode(content, type=tuple[_Entry, ...], strict=False)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ExecutorError(f"not a list of executors: {error}") from None
    executors: dict[str, Executor] = {}
    for number, entry in enumerate(entries, start=1):
        name = entry.executor.name
        if not name:
            raise ExecutorError(f"executor {number} has no name")
        if name == AURORA_EXECUTOR_NAME:
            raise ExecutorError(f"executor {number} is called {name}, which is built in: another name was expected")
        if name in executors:
            raise ExecutorError(f"there are two executors called {name}")
        executors[name] = _executor(name, entry)
    return frozendict(executors)


def _executor(name: str, entry: _Entry) -> Executor:
    if entry.executor.command is None:
        raise ExecutorError(f"executor {name} has no command")
    return Executor(
        prefix=entry.task_prefix,
        overhead=_overhead(name, entry.executor.resources),
        info=entry.executor,
        mounts=tuple(volume(f"{mount.host_path}:{mount.container_path}:{mount.mode}") for mount in entry.volume_mounts),
    )


def _overhead(name: str, resources: Iterable[Resource]) -> Bag:
    bag: dict[ResourceType, float] = {}
    for resource in resources:
        if resource.name not in _SCALARS:
            raise ExecutorError(
                f"resource {resource.name} of executor {name}: one of {', '.join(_SCALARS)} was expected"
            )
        if resource.scalar is None or resource.scalar.value < 0:
            raise ExecutorError(f"resource {resource.name} of executor {name}: a scalar of 0 or more was expected")
        type_ = ResourceType(resource.name)
        bag[type_] = bag.get(type_, 0) + resource.scalar.value
    return frozendict(bag)


_SCALARS = tuple(type_.value for type_ in ResourceType if type_ is not ResourceType.PORTS)


def volume(text: str) -> Volume:
    """A mount, ``host:container:mode``, with a mode of ``ro`` or ``rw`` in any case. Raises `ExecutorError`."""
    parts = text.split(":")
    mode = _MODES.get(parts[-1].upper())
    if len(parts) != 3 or not all(parts) or mode is None:
        raise ExecutorError(f"mount {text}: host:container:mode, of mode ro or rw, was expected")
    return Volume(host_path=parts[0], container_path=parts[1], mode=mode)


_MODES = frozendict({mode.name: mode for mode in Mode})
