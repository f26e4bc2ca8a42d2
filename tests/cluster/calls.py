"""Calls of users, whose outcomes are known to be done, known to be not done, or unknown."""

from __future__ import annotations

import requests
from urllib3.exceptions import NewConnectionError

from aurorad.api import binary
from aurorad.api.calls import Call, CreateJob, GetJobs, Reply
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType
from tests.cluster.schedulers import Scheduler
from tests.e2e.jobs import shell_job

ROLE, ENVIRONMENT = "www-data", "devel"
NOT_DONE = ("Storage is not READY", "The scheduler's disk is full: nothing was changed.")
"""What an answer says if nothing was changed, and trying again is worth it."""


class Unknown(Exception):
    """Whether it was done."""


class NotDone(Exception):
    """It was not, and it may be tried again."""


def ask(url: str, what: Call, timeout_s: float = 5.0, session: requests.Session | None = None) -> Response:
    """The answer of whoever leads, as far as the one at `url` knows. Raises `Unknown` and `NotDone`."""
    body = binary.encode_message(MessageHeader(what.method(), MessageType.CALL, 0), what)
    headers = {"Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE}
    try:
        answer = (session or requests).post(f"{url}/api", data=body, headers=headers, timeout=timeout_s)
    except requests.ConnectTimeout as error:
        raise NotDone(f"not reached: {type(error).__name__}") from None
    except requests.RequestException as error:
        cause = getattr(error.args[0] if error.args else None, "reason", None)
        if isinstance(cause, NewConnectionError):
            raise NotDone("not reached") from None
        raise Unknown(type(error).__name__) from None
    if answer.status_code == 503:
        raise NotDone(answer.text[:200])
    if answer.status_code != 200:
        raise Unknown(f"HTTP {answer.status_code}")
    reply = binary.read_struct(Reply, answer.content, binary.decode_header(answer.content)[1])[0]
    assert reply.success is not None
    if reply.success.response_code is ResponseCode.ERROR_TRANSIENT:
        text = " ".join(detail.message or "" for detail in reply.success.details)
        raise NotDone(text) if text in NOT_DONE else Unknown(text)
    return reply.success


def create(scheduler: Scheduler, name: str, instances: int = 1, padding: str = "") -> bool:
    """Whether it says that it did."""
    call = CreateJob(shell_job(name, f"false {padding}", instances=instances))
    answer = ask(scheduler.url, call, timeout_s=30.0)
    return answer.response_code is ResponseCode.OK


def jobs(scheduler: Scheduler) -> set[str]:
    answer = ask(scheduler.url, GetJobs(ROLE), timeout_s=60.0)  # with all that they are
    assert answer.result is not None
    assert answer.result.get_jobs_result is not None, answer
    return {job.key.name for job in answer.result.get_jobs_result.configs}
