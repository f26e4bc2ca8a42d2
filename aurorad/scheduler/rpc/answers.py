"""The envelope of every answer (thrift-api sheet, section 1); `serverInfo` is stamped by the dispatcher."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from aurorad.api import keys
from aurorad.api.calls import Call
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response, ResponseDetail, Result
from aurorad.api.tasks import JobConfiguration, JobKey
from aurorad.rules.admission import AdmissionError
from aurorad.rules.quota import QuotaExceeded
from aurorad.scheduler.limits import active_update
from aurorad.storage.tables import Tables

T = TypeVar("T")

# A handler takes its own kind of call, which a mapping by type cannot say; the second argument is the user's name.
Handler = Callable[[Any, str], Awaitable[Response]]
Handlers = dict[type[Call], Handler]


class Refused(Exception):
    """The call cannot be done: `code` and the text go to the caller, and nothing was changed."""

    def __init__(self, message: str, code: ResponseCode = ResponseCode.INVALID_REQUEST, result: Result | None = None):
        super().__init__(message)
        self.code = code
        self.result = result


def ok(result: Result | None = None, *details: str) -> Response:
    return Response(ResponseCode.OK, result=result, details=tuple(map(ResponseDetail, details)))


def refused(refusal: Refused) -> Response:
    text = str(refusal)
    return Response(refusal.code, result=refusal.result, details=(ResponseDetail(text or None),))


def given(value: T | None, what: str) -> T:
    """An argument of a call. Raises `Refused` if it is unset; `what` was expected."""
    if value is None:
        raise Refused(f"{what} was expected.", ResponseCode.ERROR)
    return value


def given_key(job: JobKey | None) -> JobKey:
    """The job key of a call. Raises `Refused` if it is unset, or not valid: then without a text, as the original."""
    key = given(job, "A job key")
    if not keys.is_valid(key):
        raise Refused("", ResponseCode.ERROR)
    return key


def refuse_two_jobs(job: JobConfiguration) -> None:
    """Raises `Refused` if tasks would be another job's than the one that permission was asked for.

    The original creates them, whoever may not do that (security sheet, section 4).
    """
    if job.task_config.job != job.key:
        raise Refused(
            f"The job is called {keys.canonical(job.key)} by its description, but "
            f"{keys.canonical(job.task_config.job)} by its tasks: one key was expected."
        )


def given_text(text: str | None) -> str:
    """A text of a call. Raises `Refused` if it is unset or blank."""
    if text is None or not text.strip():
        raise Refused("Argument cannot be blank", ResponseCode.ERROR)
    return text


def refuse_while_updating(tables: Tables, job: JobKey) -> None:
    """Raises `Refused` if an update of the job is going on."""
    if active_update(tables, job) is not None:
        raise Refused("Job is currently updating", ResponseCode.JOB_UPDATING_ERROR)


@contextlib.contextmanager
def rules_refuse() -> Iterator[None]:
    """What the rules do not let in becomes a refusal of the call, with the rules' own text."""
    try:
        yield
    except AdmissionError as error:
        raise Refused(str(error), error.code) from None
    except QuotaExceeded as error:
        raise Refused(str(error)) from None
