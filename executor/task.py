"""The task as the executor runs it: the structs of the job's JSON (config-schema sheet, sections 5, 6 and 14)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from executor.templates import JsonValue

_END = 1 << 63  # of what anybody counts; no number that is none lies before it either
Whole = Annotated[int, msgspec.Meta(ge=-_END, le=_END - 1)]
Decimal = Annotated[float, msgspec.Meta(ge=-float(_END), le=float(_END))]


class Model(msgspec.Struct, frozen=True):
    """Base of what the JSON holds. Unknown keys are ignored; None means unset."""


class Resources(Model, frozen=True):
    """Cores and bytes."""

    cpu: Decimal
    ram: Whole
    disk: Whole
    gpu: Whole = 0


class RotatePolicy(Model, frozen=True):
    log_size: Whole = 100 << 20
    backups: Whole = 5


class Logger(Model, frozen=True):
    destination: Literal["file", "console", "both", "none"] = "file"
    mode: Literal["standard", "rotate"] = "standard"
    rotate: RotatePolicy | None = None


class Process(Model, frozen=True):
    """`min_duration` in seconds; `max_failures` 0 means without limit."""

    name: str
    cmdline: str
    resources: Resources | None = None
    max_failures: Whole = 1
    daemon: bool = False
    ephemeral: bool = False
    min_duration: Whole = 5
    final: bool = False
    logger: Logger | None = None


class Constraint(Model, frozen=True):
    order: tuple[str, ...] = ()


class Task(Model, frozen=True):
    """`finalization_wait` in seconds; `max_failures` and `max_concurrency` 0 mean without limit."""

    name: str = ""
    processes: tuple[Process, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    resources: Resources | None = None
    max_failures: Whole = 1
    max_concurrency: Whole = 0
    finalization_wait: Whole = 30
    user: str | None = None


class HttpHealthChecker(Model, frozen=True):
    endpoint: str = "/health"
    expected_response: str = "ok"
    expected_response_code: Whole = 0


class ShellHealthChecker(Model, frozen=True):
    shell_command: str


class HealthChecker(Model, frozen=True):
    http: HttpHealthChecker | None = None
    shell: ShellHealthChecker | None = None


class HealthCheckConfig(Model, frozen=True):
    health_checker: HealthChecker = HealthChecker(http=HttpHealthChecker())
    initial_interval_secs: Decimal | None = 15.0
    interval_secs: Decimal = 10.0
    max_consecutive_failures: Whole = 0
    min_consecutive_successes: Whole = 1
    timeout_secs: Decimal = 1.0


class HttpLifecycle(Model, frozen=True):
    port: str = "health"
    graceful_shutdown_endpoint: str = "/quitquitquit"
    shutdown_endpoint: str = "/abortabortabort"
    graceful_shutdown_wait_secs: Whole = 5
    shutdown_wait_secs: Whole = 5


class Lifecycle(Model, frozen=True):
    http: HttpLifecycle | None = None


class Announcer(Model, frozen=True):
    """Without a `portmap` the primary port is also named `aurora`."""

    primary_port: str = "http"
    portmap: dict[str, str | int] | None = None
    zk_path: str | None = None

    def aliases(self) -> dict[str, str | int]:
        """Names of ports to other names, or to numbers."""
        portmap = {"aurora": self.primary_port} if self.portmap is None else self.portmap
        return {name: self.primary_port if to == "{{primary_port}}" else to for name, to in portmap.items()}


class TaskInstance(Model, frozen=True):
    """What the executor works with: one instance's part of a job."""

    task: Task
    role: str
    environment: str | None = None
    announce: Announcer | None = None
    health_check_config: HealthCheckConfig = HealthCheckConfig()
    lifecycle: Lifecycle | None = None


def to_json(task: Task) -> bytes:
    """The task's description as it is kept on disk: defaults written out, unset fields left out."""
    return msgspec.json.encode(_without_none(msgspec.json.decode(msgspec.json.encode(task))))


def is_same(task: Task, description: bytes) -> bool:
    """Whether this is what an executor, perhaps of another version, wrote of the task."""
    try:
        return msgspec.json.decode(description, type=Task) == task
    except msgspec.DecodeError:
        return False


def _without_none(tree: JsonValue) -> JsonValue:
    if isinstance(tree, list):
        return [_without_none(item) for item in tree]
    if isinstance(tree, dict):
        return {key: _without_none(value) for key, value in tree.items() if value is not None}
    return tree
