"""What goes wrong, in one shape (RFC 9457): a sentence for people, a code for programs."""

from __future__ import annotations

import http
from collections.abc import Mapping

import msgspec
from quart import Response

from aurorad.api import results
from aurorad.api.enums import ResponseCode

CONTENT_TYPE = "application/problem+json"

_STATUSES = {
    ResponseCode.INVALID_REQUEST: 422,
    ResponseCode.ERROR: 422,
    ResponseCode.AUTH_FAILED: 403,
    ResponseCode.JOB_UPDATING_ERROR: 409,
    ResponseCode.ERROR_TRANSIENT: 503,
}
"""What a refusal by the rules becomes. 400 is for requests that are not as the OpenAPI document says."""
_RETRY_AFTER_S = 1
_NO_REASON = "The request cannot be done as it is: part of it is missing, or is not valid."


class Problem(Exception):
    """The request cannot be answered otherwise: HTTP status, a sentence, and the code of the call's answer, if any."""

    def __init__(
        self, status: int, detail: str, code: ResponseCode | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.headers = headers or {}

    def response(self) -> Response:
        shown: dict[str, object] = {"type": "about:blank", "title": http.HTTPStatus(self.status).phrase}
        shown |= {"status": self.status, "detail": self.detail}
        if self.code is not None:
            shown["code"] = self.code.name
        answer = Response(
            msgspec.json.encode(shown), self.status, content_type=CONTENT_TYPE, headers=dict(self.headers)
        )
        if self.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            answer.headers["Retry-After"] = str(_RETRY_AFTER_S)
        answer.headers["Cache-Control"] = "no-store"
        return answer


def sentences(answer: results.Response) -> list[str]:
    """What an answer says in words."""
    return [detail.message for detail in answer.details if detail.message]


def refusal(answer: results.Response) -> Problem | None:
    """What is wrong if the call was refused; None if it was done."""
    status = _STATUSES.get(answer.response_code)
    if status is None:
        return None
    return Problem(status, " ".join(sentences(answer)) or _NO_REASON, answer.response_code)
