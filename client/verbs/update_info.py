"""`aurora update info` (client-commands sheet, section 7.5)."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

from aurorad.api.calls import GetJobUpdateDetails
from aurorad.api.updates import JobUpdateDetails, JobUpdateEvent, JobUpdateKey, JobUpdateQuery, JobUpdateState
from client import options, updates
from client.arguments import JobPath
from client.command import Command
from client.errors import CommandError, Exit
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.write_json(parser)
    options.job_key(parser)
    parser.add_argument("id", nargs="?", metavar="ID", help="the update; without, the active one")


def _run(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    scheduler = session.scheduler(path.cluster)
    if given.id is not None:
        key = JobUpdateKey(path.key, given.id)
    else:
        key = updates.active(scheduler, path.key, "There is no active update for this job.")
    result = scheduler.ask(GetJobUpdateDetails(None, JobUpdateQuery(key=key))).get_job_update_details_result
    if result is None or not result.details_list:
        raise CommandError(Exit.INVALID_PARAMETER, f"There is no update for key: {path} {key.id}")
    details = result.details_list[0]
    if given.write_json:
        session.terminal.out(json.dumps(_json(path, details), indent=2))
    else:
        session.terminal.out("\n".join(_lines(path, details)))
    return Exit.OK


def _state(details: JobUpdateDetails) -> JobUpdateState:
    return details.update.summary.state or JobUpdateState()


def _metadata(details: JobUpdateDetails) -> list[tuple[str, str]]:
    return sorted((pair.key or "", pair.value or "") for pair in details.update.summary.metadata)


def _lines(path: JobPath, details: JobUpdateDetails) -> Iterator[str]:
    state = _state(details)
    yield f"Job: {path}, UpdateID: {details.update.summary.key.id}"
    started, modified = updates.utc(state.created_timestamp_ms), updates.utc(state.last_modified_timestamp_ms)
    yield f"Started {started}, last activity: {modified}"
    yield f"Current status: {state.status.name}"
    if details.update_events:
        yield "Update events:"
    for event in details.update_events:
        yield f"  Status: {event.status.name} at {updates.utc(event.timestamp_ms)}"
        if event.message:
            yield f"      message: {event.message}"
    if details.instance_events:
        yield "Instance events:"
    for change in details.instance_events:
        yield f"  Instance {change.instance_id} at {updates.utc(change.timestamp_ms)}: {change.action.name}"
    if _metadata(details):
        yield "Metadata:"
    for key, value in _metadata(details):
        yield f"  {key}: {value}"


def _json(path: JobPath, details: JobUpdateDetails) -> dict[str, Any]:
    state = _state(details)
    shown: dict[str, Any] = {
        "updateId": details.update.summary.key.id,
        "job": str(path),
        "started": state.created_timestamp_ms,
        "last_modified": updates.utc(state.last_modified_timestamp_ms),
        "status": state.status.name,
        "update_events": [_event(event) for event in details.update_events],
        "instance_update_events": [
            {"instance": event.instance_id, "timestamp": event.timestamp_ms, "action": event.action.name}
            for event in details.instance_events
        ],
    }
    if _metadata(details):
        shown["metadata"] = [{key: value} for key, value in _metadata(details)]
    return shown


def _event(event: JobUpdateEvent) -> dict[str, str | int]:
    shown: dict[str, str | int] = {"status": event.status.name, "timestampMs": event.timestamp_ms}
    return shown | ({"message": event.message} if event.message else {})


INFO = Command(_declare, _run)
