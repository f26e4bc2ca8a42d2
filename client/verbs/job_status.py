"""`aurora job status` (client-commands sheet, section 5.10)."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aurorad.api.calls import GetPendingReason
from aurorad.api.enums import ACTIVE_STATES, ResponseCode, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask
from client import amounts, arguments, options, tasks
from client.arguments import JobPath, JobPattern
from client.command import Command
from client.errors import CommandError, Exit
from client.matching import matching
from client.plain import Json, plain
from client.scheduler import Scheduler
from client.session import Session
from client.verbs import job_list


def _declare(parser: ArgumentParser) -> None:
    options.write_json(parser)
    job_list.LIST.declare(parser)


def _run(given: Namespace, session: Session) -> int:
    pattern: JobPattern = given.pattern
    found: list[tuple[Scheduler, JobPath, tuple[ScheduledTask, ...]]] = []
    for scheduler, path in matching(pattern, session):
        session.terminal.info(f"Checking status of {path}")
        there = tasks.ask(scheduler, arguments.query(path.key), code=Exit.INVALID_PARAMETER)
        if there:
            found.append((scheduler, path, _in_order(there)))
        else:
            session.terminal.info(f"No tasks were found for jobkey {path}")
    if given.write_json:
        return _print_json(pattern, [(path, there) for _, path, there in found], session)
    if not found:
        raise CommandError(Exit.INVALID_PARAMETER, f"Found no jobs matching {pattern}")
    for scheduler, path, there in found:
        for line in _lines(there, _pending_reasons(scheduler, path.key, there)):
            session.terminal.out(line)
    return Exit.OK


def _in_order(there: Iterable[ScheduledTask]) -> tuple[ScheduledTask, ...]:
    return tuple(sorted(there, key=lambda task: task.assigned_task.instance_id))


def _split(there: Sequence[ScheduledTask]) -> tuple[list[ScheduledTask], list[ScheduledTask]]:
    """The active and the others."""
    active = [task for task in there if task.status in ACTIVE_STATES]
    return active, [task for task in there if task.status not in ACTIVE_STATES]


def _pending_reasons(scheduler: Scheduler, key: JobKey, there: Sequence[ScheduledTask]) -> Mapping[str, str]:
    """Why tasks wait, by task id; a scheduler that will not say is not asked twice."""
    if not any(task.status is ScheduleStatus.PENDING for task in there):
        return {}
    response = scheduler.call(GetPendingReason(arguments.query(key)))
    result = response.result.get_pending_reason_result if response.result is not None else None
    if response.response_code is not ResponseCode.OK or result is None:
        return {}
    return {reason.task_id: reason.reason for reason in result.reasons}


def _lines(there: Sequence[ScheduledTask], reasons: Mapping[str, str]) -> Iterator[str]:
    for title, part in zip(("Active", "Inactive"), _split(there), strict=True):
        yield f"{title} tasks ({len(part)}):"
        for task in part:
            yield from _task_lines(task, reasons.get(task.assigned_task.task_id, ""))


def _task_lines(task: ScheduledTask, reason: str) -> Iterator[str]:
    assigned, config = task.assigned_task, task.assigned_task.task
    where = f" on {assigned.slave_host}" if assigned.slave_host else ""
    why = f" ({', '.join(reason.split(','))})" if reason else ""
    yield (
        f"\tTask role: {config.job.role}, env: {config.job.environment}, name: {config.job.name}, "
        f"instance: {assigned.instance_id}, status: {task.status.name}{where}{why}"
    )
    yield f"\t  {', '.join(amounts.describe(config.resources))}"
    if assigned.assigned_ports:
        yield f"\t  assigned ports: {dict(sorted(assigned.assigned_ports.items()))}"
        yield f"\t  failure count: {task.failure_count} (max {config.max_task_failures})"
    yield "\t  events:"
    for event in sorted(task.task_events, key=lambda event: event.timestamp):
        yield f"\t   {tasks.local_time(event.timestamp)} {event.status.name}: {event.message or ''}".rstrip()
    if config.metadata:
        yield "\t  metadata:"
        for pair in sorted(config.metadata, key=lambda pair: (pair.key or "", pair.value or "")):
            yield f"\t\t  (key: '{pair.key or ''}', value: '{pair.value or ''}')"


def _print_json(
    pattern: JobPattern, found: Sequence[tuple[JobPath, tuple[ScheduledTask, ...]]], session: Session
) -> int:
    if not found:
        nothing = {"jobspec": str(pattern), "error": "No matching jobs found"}
        session.terminal.out(json.dumps(nothing, separators=(",", ":")))
        return Exit.OK
    entries = []
    for path, there in found:
        active, inactive = _split(there)
        entries.append({"job": str(path), "active": [*map(_json, active)], "inactive": [*map(_json, inactive)]})
    session.terminal.out(json.dumps(entries, indent=2))
    return Exit.OK


def _json(task: ScheduledTask) -> Json:
    """The task with its enums as the sheet wants them: status and event status as names."""
    value = plain(task)
    value["status"] = task.status.name
    for shown, event in zip(value["taskEvents"], task.task_events, strict=True):
        shown["status"] = event.status.name
    config = value["assignedTask"]["task"]
    for flag in ("isService", "production"):
        config[flag] = bool(config[flag])
    return value


STATUS = Command(_declare, _run)
