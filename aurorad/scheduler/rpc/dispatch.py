"""Every call passes here: finds its handler, counts and times it, and puts whatever comes out into one envelope.

An answer must not show what the log does not hold. A write's answer comes after its own commit. What a call only read,
answer or refusal, goes out once all of it is in the log; if part of that was refused and undone meanwhile, the call is
done again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec
import trio

from aurorad.api.calls import (
    Call,
    GetConfigSummary,
    GetJobs,
    GetJobSummary,
    GetJobUpdateDetails,
    GetJobUpdateSummaries,
    GetPendingReason,
    GetRoleSummary,
    GetTasksStatus,
    GetTasksWithoutConfigs,
    MaintenanceStatus,
    ReadOnlyCall,
)
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response, Result, ServerInfo
from aurorad.flags import Flags
from aurorad.scheduler.rpc import call_log
from aurorad.scheduler.rpc.answers import Handler, Handlers, Refused, refused
from aurorad.storage.storage import LogFull, OutcomeUnknown, Storage, StorageNotReady
from aurorad.vars import Vars

_log = logging.getLogger(__name__)

_READS = (ReadOnlyCall, MaintenanceStatus)

_MOST_ATTEMPTS = 10
"""How often a read is done again while the disk is full and others keep trying to write."""


class Api:
    """Answers calls. One per scheduler; calls may run at the same time."""

    def __init__(self, handlers: Handlers, storage: Storage, flags: Flags, stats: Vars) -> None:
        self._handlers = handlers
        self._storage = storage
        self._server_info = ServerInfo(flags.cluster_name, flags.viz_job_url_prefix)
        self._stats = stats

    async def handle(self, call: Call, user: str) -> Response:
        """The answer to `call` made by `user`. Only cancellation comes out as an exception.

        If cancelled, a write of the call may still happen.
        """
        method = call.method()
        started = trio.current_time()
        response = await self._outcome(call, user)
        call_log.note(call, user, response.response_code)
        self._stats.observe(f"scheduler_thrift_{method}", trio.current_time() - started)
        self._stats.count(f"scheduler_thrift_response_{response.response_code.name}")
        count_items = _WORKLOADS.get(type(call))
        if count_items is not None and response.result is not None:
            self._stats.count(f"scheduler_thrift_workload_{method}", count_items(response.result))
        return msgspec.structs.replace(response, server_info=self._server_info)

    async def _outcome(self, call: Call, user: str) -> Response:
        if self._storage.sealed:
            return _error("Storage is not READY", ResponseCode.ERROR_TRANSIENT)
        handler = self._handlers.get(type(call))
        if handler is None:
            return _error(f"{call.method()} is not supported yet.")
        try:
            return await self._settled_answer(handler, call, user)
        except StorageNotReady:
            return _error("Storage is not READY", ResponseCode.ERROR_TRANSIENT)
        except OutcomeUnknown:
            return _error(
                "The scheduler lost its log meanwhile: whether this was done is unknown, look before trying again.",
                ResponseCode.ERROR_TRANSIENT,
            )
        except LogFull as error:
            _log.warning("%s of %s refused, the log is full: %s", call.method(), user, error)
            return _error("The scheduler's disk is full: nothing was changed.", ResponseCode.ERROR_TRANSIENT)
        except Exception as error:
            # The boundary to the caller: one failed call must not end the scheduler (thrift-api sheet, section 1).
            _log.exception("%s of %s failed", call.method(), user)
            return _error(str(error))

    async def _settled_answer(self, handler: Handler, call: Call, user: str) -> Response:
        for _ in range(_MOST_ATTEMPTS):
            refusals = self._storage.refusals
            try:
                response = await handler(call, user)
            except Refused as refusal:
                response = refused(refusal)
            else:
                if not isinstance(call, _READS):
                    return response
            try:
                await self._storage.settled()
            except LogFull:
                continue
            if self._storage.refusals == refusals:
                return response
        raise LogFull("what was read kept being undone")


def _error(message: str, code: ResponseCode = ResponseCode.ERROR) -> Response:
    return refused(Refused(message, code))


# What a read call's answer holds, by method (vars sheet, section 7).
_WORKLOADS: dict[type[Call], Callable[[Result], int]] = {
    GetTasksStatus: lambda r: len(r.schedule_status_result.tasks) if r.schedule_status_result else 0,
    GetTasksWithoutConfigs: lambda r: len(r.schedule_status_result.tasks) if r.schedule_status_result else 0,
    GetPendingReason: lambda r: len(r.get_pending_reason_result.reasons) if r.get_pending_reason_result else 0,
    GetConfigSummary: lambda r: len(r.config_summary_result.summary.groups) if r.config_summary_result else 0,
    GetRoleSummary: lambda r: len(r.role_summary_result.summaries) if r.role_summary_result else 0,
    GetJobSummary: lambda r: len(r.job_summary_result.summaries) if r.job_summary_result else 0,
    GetJobs: lambda r: len(r.get_jobs_result.configs) if r.get_jobs_result else 0,
    GetJobUpdateSummaries: lambda r: (
        len(r.get_job_update_summaries_result.update_summaries) if r.get_job_update_summaries_result else 0
    ),
    GetJobUpdateDetails: lambda r: (
        len(r.get_job_update_details_result.details_list or ()) if r.get_job_update_details_result else 0
    ),
}
