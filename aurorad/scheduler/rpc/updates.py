"""The RPCs about job updates (thrift-api sheet, sections 2 and 3; updates sheet, sections 3, 4 and 9).

Whatever depends on what is stored is checked inside the storage write that acts on it. A write that found nothing to do
waits until what it looked at is in the log; for reads and refusals the dispatcher sees to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple
from uuid import UUID

from aurorad.api import calls
from aurorad.api.enums import ACTIVE_STATES, JobUpdatePulseStatus, ResponseCode
from aurorad.api.results import (
    GetJobUpdateDetailsResult,
    GetJobUpdateSummariesResult,
    PulseJobUpdateResult,
    Response,
    Result,
    StartJobUpdateResult,
)
from aurorad.api.tasks import TaskConfig
from aurorad.api.text import render
from aurorad.api.updates import (
    JobUpdate,
    JobUpdateDetails,
    JobUpdateKey,
    JobUpdateQuery,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateSummary,
)
from aurorad.flags import Flags
from aurorad.rules import admission, job_diff, quota
from aurorad.rules.admission import AdmissionLimits
from aurorad.rules.job_diff import JobDiff
from aurorad.rules.tiers import Tiers
from aurorad.rules.updates import requests
from aurorad.scheduler.limits import role_usage
from aurorad.scheduler.rpc.answers import Handler, Handlers, Refused, given, given_key, given_text, ok, rules_refuse
from aurorad.scheduler.updater import Updater
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars

MAX_MESSAGE_LENGTH = 1024
"""Characters that an update event keeps of what its caller said (updates sheet, section 3)."""

_OLD_ARGUMENT = "The key argument is deprecated, use the query argument instead"

_Control = Callable[[Transaction, JobUpdateKey, str, str | None], bool]
_ControlCall = calls.PauseJobUpdate | calls.ResumeJobUpdate | calls.AbortJobUpdate | calls.RollbackJobUpdate


def handlers(
    *,
    storage: Storage,
    updater: Updater,
    limits: AdmissionLimits,
    tiers: Tiers,
    flags: Flags,
    stats: Vars,
    new_uuid: Callable[[], UUID],
) -> Handlers:
    updates = UpdateCalls(storage, updater, limits, tiers, flags, stats, new_uuid)
    return {
        calls.StartJobUpdate: updates.start,
        calls.PauseJobUpdate: updates.control(updater.pause),
        calls.ResumeJobUpdate: updates.control(updater.resume),
        calls.AbortJobUpdate: updates.control(updater.abort),
        calls.RollbackJobUpdate: updates.control(updater.rollback),
        calls.PulseJobUpdate: updates.pulse,
        calls.GetJobUpdateDiff: updates.diff,
        calls.GetJobUpdateSummaries: updates.summaries,
        calls.GetJobUpdateDetails: updates.details,
    }


class Order(NamedTuple):
    """An update as it was asked for, filled in and checked as far as that needs no tables."""

    request: JobUpdateRequest
    config: TaskConfig
    settings: JobUpdateSettings
    only: frozenset[int]
    message: str | None


class UpdateCalls:
    def __init__(
        self,
        storage: Storage,
        updater: Updater,
        limits: AdmissionLimits,
        tiers: Tiers,
        flags: Flags,
        stats: Vars,
        new_uuid: Callable[[], UUID],
    ) -> None:
        self._storage = storage
        self._updater = updater
        self._max_failures = flags.max_update_instance_failures
        self._limits = limits
        self._tiers = tiers
        self._stats = stats
        self._new_uuid = new_uuid
        stats.declare("thrift_workload_startJobUpdate")

    async def start(self, call: calls.StartJobUpdate, user: str) -> Response:
        order = self.admitted(call)
        started = await self._storage.write(lambda tx: self._start(tx, order, user))
        if started is None:
            await self._storage.settled()
            return ok(None, requests.UNCHANGED)
        self._stats.count("thrift_workload_startJobUpdate", order.request.instance_count)
        return ok(Result(start_job_update_result=StartJobUpdateResult(started.key, update_summary=started)))

    def admitted(self, call: calls.StartJobUpdate) -> Order:
        """What is asked for, filled in. Raises `Refused`."""
        request = _request(call.request)
        if not request.task_config.is_service:
            raise Refused(requests.NOT_A_SERVICE)
        settings = requests.with_strategy(_settings(request))
        wrong = requests.problem(request, settings, self._max_failures)
        if wrong is not None:
            raise Refused(wrong)
        return Order(request, self._admitted(request), settings, _scope(settings), call.message)

    def _start(self, tx: Transaction, order: Order, user: str) -> JobUpdateSummary | None:
        """The update begun; None when there is nothing to change."""
        update = self.proposed(tx.tables, order, self.changes(tx.tables, order), user)
        if update is None:
            return None
        self._updater.start(tx, update, user, _audit(order.message))
        return update.summary

    def proposed(self, tables: Tables, order: Order, changes: JobDiff, user: str) -> JobUpdate | None:
        """The update that would bring `changes`; None when there are none. Raises `Refused`."""
        if changes.is_noop:
            return None
        summary = JobUpdateSummary(
            JobUpdateKey(order.config.job, str(self._new_uuid())), user, metadata=order.request.metadata
        )
        update = JobUpdate(summary, job_diff.instructions(changes, order.settings))
        self._check_limits(tables, order.request.instance_count, update)
        return update

    def changes(self, tables: Tables, order: Order) -> JobDiff:
        """Raises `Refused` for a cron job, and for instances that nobody knows."""
        if order.config.job in tables.cron_jobs:
            raise Refused("Cron jobs may only be created/updated by calling scheduleCronJob.")
        current, count = _current(tables, order.config), order.request.instance_count
        strangers = job_diff.irrelevant(current, count, order.only)
        if strangers:
            raise Refused(
                "The update request attempted to update specific instances, but some are irrelevant to the update and "
                f"current job state: {strangers}"
            )
        return job_diff.diff(current, order.config, count, order.only)

    def _check_limits(self, tables: Tables, instance_count: int, update: JobUpdate) -> None:
        role = update.summary.key.job.role
        with rules_refuse():
            admission.check_instance_count(instance_count, self._limits)
            quota.check_update(tables.quotas.get(role), role_usage(tables, role), update)

    def control(self, act: _Control) -> Handler:
        """The handler of one of the requests that change an update's status."""

        async def handle(call: _ControlCall, user: str) -> Response:
            key = _key(call.key)
            message = _audit(call.message)
            if not await self._storage.write(lambda tx: act(tx, key, user, message)):
                await self._storage.settled()
            return ok()

        return handle

    async def pulse(self, call: calls.PulseJobUpdate, _user: str) -> Response:
        key = _key(call.key)
        given_text(key.id)
        status = await self._storage.write(lambda tx: self._updater.pulse(tx, key))
        if status is JobUpdatePulseStatus.FINISHED:
            await self._storage.settled()
        return ok(Result(pulse_job_update_result=PulseJobUpdateResult(status)))

    async def diff(self, call: calls.GetJobUpdateDiff, _user: str) -> Response:
        request = _request(call.request)
        config = self._admitted(request)
        tables = self._storage.tables
        if config.job in tables.cron_jobs:
            raise Refused("Cron jobs are not supported.")
        only = _scope(_settings(request))
        changes: JobDiff = job_diff.diff(_current(tables, config), config, request.instance_count, only)
        return ok(Result(get_job_update_diff_result=job_diff.diff_result(changes)))

    async def summaries(self, call: calls.GetJobUpdateSummaries, _user: str) -> Response:
        found = self._found(given(call.job_update_query, "A query for updates"))
        result = GetJobUpdateSummariesResult(tuple(details.update.summary for details in found))
        return ok(Result(get_job_update_summaries_result=result))

    async def details(self, call: calls.GetJobUpdateDetails, _user: str) -> Response:
        if call.query is not None:
            found = self._found(call.query)
            return ok(Result(get_job_update_details_result=GetJobUpdateDetailsResult(details_list=tuple(found))))
        if call.key is None:
            raise Refused("Either key or query must be set.", ResponseCode.ERROR)
        details = self._storage.tables.updates.get(call.key)
        if details is None:
            raise Refused(f"Invalid update: {render(call.key)}")
        return ok(Result(get_job_update_details_result=GetJobUpdateDetailsResult(details)), _OLD_ARGUMENT)

    def _admitted(self, request: JobUpdateRequest) -> TaskConfig:
        most = max(job_diff.MAX_INSTANCES, self._limits.max_tasks_per_job)
        if request.instance_count > most:
            raise Refused(f"Instance count must be between 1 and {most} inclusive.")
        with rules_refuse():
            return admission.populate_task(request.task_config, request.instance_count, self._limits, self._tiers)

    def _found(self, query: JobUpdateQuery) -> list[JobUpdateDetails]:
        """All matches, the last modified first, of which offset and limit choose."""
        if query.offset < 0:
            raise Refused(str(query.offset), ResponseCode.ERROR)
        found = [details for details in _candidates(self._storage.tables, query) if _matches(details, query)]
        found.sort(key=_times_ms, reverse=True)
        return found[query.offset :][: query.limit if query.limit > 0 else None]


def _request(request: JobUpdateRequest | None) -> JobUpdateRequest:
    asked = given(request, "An update request")
    if asked.task_config == TaskConfig():
        raise Refused("The update request has no taskConfig.", ResponseCode.ERROR)
    return asked


def _settings(request: JobUpdateRequest) -> JobUpdateSettings:
    return given(request.settings, "An update request with settings")


def _scope(settings: JobUpdateSettings) -> frozenset[int]:
    try:
        return job_diff.expand(settings.update_only_these_instances)
    except ValueError as wrong:
        raise Refused(str(wrong)) from None


def _key(key: JobUpdateKey | None) -> JobUpdateKey:
    update = given(key, "An update's key")
    given_key(update.job)
    return update


def _audit(message: str | None) -> str | None:
    """Raises `Refused` for a message that is too long, without a text, as the original; clients say it themselves."""
    if message is not None and len(message) > MAX_MESSAGE_LENGTH:
        raise Refused("", ResponseCode.ERROR)
    return message


def _current(tables: Tables, config: TaskConfig) -> dict[int, TaskConfig]:
    return job_diff.current_configs(tables.job_tasks(config.job, ACTIVE_STATES))


def _candidates(tables: Tables, query: JobUpdateQuery) -> Iterable[JobUpdateDetails]:
    if query.key is not None:
        details = tables.updates.get(query.key)
        return [] if details is None else [details]
    return tables.updates.values() if query.job_key is None else tables.job_updates(query.job_key)


def _matches(details: JobUpdateDetails, query: JobUpdateQuery) -> bool:
    summary = details.update.summary
    return (
        (query.role is None or summary.key.job.role == query.role)
        and (query.key is None or summary.key == query.key)
        and (query.job_key is None or summary.key.job == query.job_key)
        and (query.user is None or summary.user == query.user)
        and (not query.update_statuses or details.update_events[-1].status in query.update_statuses)
    )


def _times_ms(details: JobUpdateDetails) -> tuple[int, int]:
    state = details.update.summary.state
    return (0, 0) if state is None else (state.last_modified_timestamp_ms, state.created_timestamp_ms)
