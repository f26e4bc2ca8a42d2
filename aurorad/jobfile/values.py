"""An evaluated job as plain, typed values: what rules and conversions read instead of Pystachio objects.

Field names, types and defaults are those of the schema (config-schema sheet, sections 5 and 6). Decoding ignores keys
that are not here.
"""

from __future__ import annotations

from typing import Any

import msgspec

# A choice of structs, told apart by its keys.
Choice = dict[str, Any]
# What only the executor reads may hold a template that it resolves, as {{mesos.instance}}.
LateNumber = float | str
LateFlag = bool | str


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of them all."""


class Process(Value, frozen=True):
    name: str
    cmdline: str
    daemon: LateFlag = False
    ephemeral: LateFlag = False
    final: LateFlag = False


class Order(Value, frozen=True):
    order: tuple[str, ...] = ()


class Resources(Value, frozen=True):
    cpu: float
    ram: int
    disk: int
    gpu: int = 0


class Task(Value, frozen=True):
    name: str
    processes: tuple[Process, ...] = ()
    constraints: tuple[Order, ...] = ()
    resources: Resources | None = None


class UpdateConfig(Value, frozen=True):
    batch_size: int
    watch_secs: int
    max_per_shard_failures: int
    max_total_failures: int
    rollback_on_failure: bool
    wait_for_batch_completion: bool
    sla_aware: bool
    pulse_interval_secs: int | None = None
    update_strategy: Choice | None = None


class HealthCheckConfig(Value, frozen=True):
    initial_interval_secs: LateNumber
    interval_secs: LateNumber
    max_consecutive_failures: LateNumber
    min_consecutive_successes: LateNumber


class Announcer(Value, frozen=True):
    primary_port: str
    portmap: dict[str, str]


class PartitionPolicy(Value, frozen=True):
    reschedule: bool
    delay_secs: int


class Metadata(Value, frozen=True):
    key: str
    value: str


class ExecutorConfig(Value, frozen=True):
    name: str
    data: str


class Job(Value, frozen=True):
    name: str
    role: str
    cluster: str
    environment: str
    instances: int
    task: Task
    cron_collision_policy: str
    update_config: UpdateConfig
    service: bool
    max_task_failures: int
    production: bool
    priority: int
    health_check_config: HealthCheckConfig
    executor_config: ExecutorConfig
    enable_hooks: bool = False
    contact: str | None = None
    announce: Announcer | None = None
    tier: str | None = None
    cron_schedule: str | None = None
    constraints: dict[str, str] = {}
    metadata: tuple[Metadata, ...] = ()
    partition_policy: PartitionPolicy | None = None
    sla_policy: Choice | None = None
    container: Choice | None = None

    @property
    def path(self) -> str:
        """``cluster/role/environment/name``."""
        return f"{self.cluster}/{self.role}/{self.environment}/{self.name}"
