"""What a call needs its caller to be allowed, and whether it is (security sheet, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from aurorad.api import keys
from aurorad.api.calls import (
    AbortJobUpdate,
    AddInstances,
    AdminCall,
    Call,
    CreateJob,
    DescheduleCronJob,
    KillTasks,
    PauseJobUpdate,
    PulseJobUpdate,
    ReadOnlyCall,
    ReplaceCronTemplate,
    RestartShards,
    ResumeJobUpdate,
    RollbackJobUpdate,
    ScheduleCronJob,
    StartCronJob,
    StartJobUpdate,
)
from aurorad.api.tasks import JobConfiguration, JobKey
from aurorad.rules.permissions import Caller, Permission, single

MANAGER = "thrift.AuroraSchedulerManager"
ADMIN = "thrift.AuroraAdmin"


class NotAuthenticated(Exception):
    """The call needs a caller who has said who it is."""


class BadJob(Exception):
    """The call names no job that can be judged: the text says why."""


class NotPermitted(Exception):
    """The caller may not do this: the text says what it lacks."""


class Needed(NamedTuple):
    """A permission, and the original's words for it."""

    permission: Permission
    words: str


def needed(call: Call) -> Needed | None:
    """What the call needs; None if it only reads. Raises `BadJob` for a call on a job that it does not name well."""
    method = call.method()
    if isinstance(call, ReadOnlyCall):
        return None
    if isinstance(call, AdminCall):
        return Needed(single(ADMIN, method), f"lacks permission UnscopedRpcPermission{{domain={ADMIN}, rpc={method}}}")
    job: JobKey | None = _JOBS[type(call)](call)
    if job is None or not keys.is_valid(job):
        raise BadJob("Missing or invalid job key from request.")
    words = (
        f"is not permitted to JobScopedRpcPermission{{rpc={method}, "
        f"permittedJob=IJobKey{{role={job.role}, environment={job.environment}, name={job.name}}}}}."
    )
    return Needed(single(MANAGER, method, job.role, job.environment, job.name), words)


def check(call: Call, caller: Caller, *, anonymous_reads: bool) -> None:
    """Nothing, if `caller` may make the call. Raises `NotAuthenticated`, `BadJob` and `NotPermitted`, in this order."""
    if not caller.known and not (anonymous_reads and isinstance(call, ReadOnlyCall)):
        raise NotAuthenticated
    wanted = needed(call)
    if wanted is not None and not caller.may(wanted.permission):
        raise NotPermitted(f"Subject {caller.name} {wanted.words}")


def _described(description: JobConfiguration | None) -> JobKey | None:
    return None if description is None else description.key


def _updated(call: StartJobUpdate) -> JobKey | None:
    config = call.request.task_config if call.request is not None else None
    return config.job if config is not None else None


def _keyed(
    call: PauseJobUpdate | ResumeJobUpdate | AbortJobUpdate | RollbackJobUpdate | PulseJobUpdate,
) -> JobKey | None:
    return call.key.job if call.key is not None else None


def _grown(call: AddInstances) -> JobKey | None:
    return call.key.job_key if call.key is not None else None


def _named(call: DescheduleCronJob | StartCronJob | RestartShards | KillTasks) -> JobKey | None:
    return call.job


# Each takes its own kind of call, which a mapping by type cannot say.
_JOBS: dict[type[Call], Callable[[Any], JobKey | None]] = {
    CreateJob: lambda call: _described(call.description),
    ScheduleCronJob: lambda call: _described(call.description),
    ReplaceCronTemplate: lambda call: _described(call.config),
    DescheduleCronJob: _named,
    StartCronJob: _named,
    RestartShards: _named,
    KillTasks: _named,
    AddInstances: _grown,
    StartJobUpdate: _updated,
    PauseJobUpdate: _keyed,
    ResumeJobUpdate: _keyed,
    AbortJobUpdate: _keyed,
    RollbackJobUpdate: _keyed,
    PulseJobUpdate: _keyed,
}
