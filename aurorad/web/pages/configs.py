"""Configurations for reading: what a task may use, JSON, and what differs (web-ui sheet, sections 4 and 7)."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Literal

import msgspec

from aurorad.api.enums import CronCollisionPolicy
from aurorad.api.struct import ThriftStruct, fields_of
from aurorad.api.tasks import Constraint, ExecutorConfig, JobConfiguration, ScheduledTask, SlaPolicy, TaskConfig
from aurorad.pages import formats
from aurorad.rules import quota, resources

MAX_JSON_CHARS = 200_000  # of one configuration on a page: a bigger one is cut, and says so
MAX_DIFF_LINES = 4_000


class Process(msgspec.Struct, frozen=True):
    name: str
    cmdline: str


class ConfigView(msgspec.Struct, frozen=True):
    """One configuration, the instances that have it, and its rows of title and value."""

    title: str
    rows: tuple[tuple[str, str], ...]
    processes: tuple[Process, ...]
    json: str


class DiffLine(msgspec.Struct, frozen=True):
    kind: Literal["same", "added", "removed"]
    text: str


def config_groups(tasks: Iterable[ScheduledTask]) -> list[tuple[TaskConfig, list[int]]]:
    """The distinct configurations with their instances, ordered by lowest instance."""
    groups: dict[TaskConfig, list[int]] = {}
    for task in tasks:
        groups.setdefault(task.assigned_task.task, []).append(task.assigned_task.instance_id)
    return sorted(groups.items(), key=lambda group: min(group[1]))


def config_view(config: TaskConfig, instances: Iterable[int]) -> ConfigView:
    return ConfigView(
        f"Configuration for instance {formats.ranges(instances)}",
        (*_rows(config), ("Service", str(config.is_service).lower()), *_more_rows(config)),
        _processes(config),
        config_json(config),
    )


def cron_view(job: JobConfiguration, next_run_ms: int | None) -> ConfigView:
    """What a cron job will run, and when."""
    rows = (
        ("Cron Schedule", job.cron_schedule or ""),
        ("Collision Policy", (job.cron_collision_policy or CronCollisionPolicy.KILL_EXISTING).name),
        *([("Next Cron Run", formats.utc_full(next_run_ms))] if next_run_ms is not None else []),
        ("# Instances", str(job.instance_count)),
    )
    config = job.task_config
    return ConfigView(
        "Cron Job Configuration", (*rows, *_rows(config), *_more_rows(config)), _processes(config), config_json(config)
    )


def _rows(config: TaskConfig) -> list[tuple[str, str]]:
    rows = [("Resources", resources_text(config))]
    if config.constraints:
        rows.append(("Constraints", ", ".join(sorted(map(_constraint_text, config.constraints)))))
    rows.append(("Tier", config.tier or "default"))
    if config.production:
        rows.append(("Production", "true"))
    return rows


def _more_rows(config: TaskConfig) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    if config.metadata:
        rows.append(("Metadata", ", ".join(sorted(f"{m.key or ''}: {m.value or ''}" for m in config.metadata))))
    if config.partition_policy is not None:
        policy = config.partition_policy
        rows.append(
            ("Partition Policy", f"reschedule {str(policy.reschedule).lower()}, delay {policy.delay_secs} secs")
        )
    if config.sla_policy is not None:
        rows.append(("SLA Policy", _sla_text(config.sla_policy)))
    if config.contact_email:
        rows.append(("Contact", config.contact_email))
    return rows


def resources_text(config: TaskConfig) -> str:
    """``1 cpu, 1.00 MiB ram, 8.00 MiB disk, ports http``."""
    wanted = quota.total(config.resources)
    gpus = sum(r.num_gpus or 0 for r in config.resources)
    ports = resources.port_names(config)
    parts = [f"{formats.number(wanted.cpus)} cpu" + ("" if wanted.cpus == 1 else "s")]
    parts += [f"{formats.size_of_mb(wanted.ram_mb)} ram", f"{formats.size_of_mb(wanted.disk_mb)} disk"]
    if gpus:
        parts.append(f"{gpus} gpu" + ("" if gpus == 1 else "s"))
    if ports:
        parts.append(f"ports {', '.join(ports)}")
    return ", ".join(parts)


def _constraint_text(constraint: Constraint) -> str:
    """``rack: !a,b``, ``host: limit=1``."""
    kind = constraint.constraint
    if kind is not None and kind.limit is not None:
        return f"{constraint.name}: limit={kind.limit.limit}"
    if kind is not None and kind.value is not None:
        return f"{constraint.name}: {'!' if kind.value.negated else '='}{','.join(sorted(kind.value.values))}"
    return constraint.name


def _sla_text(policy: SlaPolicy) -> str:
    if policy.count_sla_policy is not None:
        return f"Count {policy.count_sla_policy.count} over {policy.count_sla_policy.duration_secs} secs"
    if policy.percentage_sla_policy is not None:
        share = policy.percentage_sla_policy
        return f"Percentage {formats.number(share.percentage)} over {share.duration_secs} secs"
    if policy.coordinator_sla_policy is not None:
        coordinator = policy.coordinator_sla_policy
        return f"Coordinator {coordinator.coordinator_url}, status key {coordinator.status_key or 'drain'}"
    return ""


class _ThermosTask(msgspec.Struct):
    processes: list[Process] = []


class _ThermosJob(msgspec.Struct):
    task: _ThermosTask


def _processes(config: TaskConfig) -> tuple[Process, ...]:
    """What will run, if the executor's data is a Thermos job; another executor's data is its own affair."""
    if config.executor_config is None or config.executor_config.data is None:
        return ()
    try:
        return tuple(msgspec.json.decode(config.executor_config.data or "", type=_ThermosJob).task.processes)
    except msgspec.DecodeError:
        return ()


def config_json(config: TaskConfig) -> str:
    """Readable JSON: what is unset left out, sets in order, the executor's data as JSON where it is such."""
    text = json.dumps(_plain(config), indent=2, sort_keys=True, ensure_ascii=False)
    return text if len(text) <= MAX_JSON_CHARS else text[:MAX_JSON_CHARS] + "\n… cut here"


def _plain(value: object) -> object:
    match value:
        case ExecutorConfig(data=str(data)):
            try:
                return {"name": value.name, "data": json.loads(data)}
            except ValueError:
                return {"name": value.name, "data": data}
        case ThriftStruct():
            members = {field.name: getattr(value, field.attribute) for field in fields_of(type(value))}
            return {name: _plain(member) for name, member in members.items() if member is not None}
        case IntEnum():
            return value.name
        case frozenset():
            return sorted(map(_plain, value), key=lambda member: json.dumps(member, sort_keys=True))
        case tuple():
            return list(map(_plain, value))
        case dict():
            return {str(name): _plain(member) for name, member in value.items()}
    return value


def diff(before: str, after: str) -> list[DiffLine]:
    """All lines of both texts, marked."""
    left, right = before.splitlines()[:MAX_DIFF_LINES], after.splitlines()[:MAX_DIFF_LINES]
    lines: list[DiffLine] = []
    # Not ndiff, whose search for similar lines may take minutes.
    for tag, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=True).get_opcodes():
        if tag == "equal":
            lines += [DiffLine("same", text) for text in left[a:b]]
        else:
            lines += [DiffLine("removed", text) for text in left[a:b]]
            lines += [DiffLine("added", text) for text in right[c:d]]
    return _without_long_sameness(lines)


_CONTEXT = 6


def _without_long_sameness(lines: Sequence[DiffLine]) -> list[DiffLine]:
    """Only the neighbourhood of what differs."""
    changed = [i for i, line in enumerate(lines) if line.kind != "same"]
    keep = {i for at in changed for i in range(at - _CONTEXT, at + _CONTEXT + 1)}
    shown: list[DiffLine] = []
    for i, line in enumerate(lines):
        if i in keep:
            shown.append(line)
        elif i - 1 in keep or i == 0:
            shown.append(DiffLine("same", "…"))
    return shown
