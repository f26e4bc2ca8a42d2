"""The envelope of every answer (thrift-api sheet, section 1); `serverInfo` is stamped by the dispatcher."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aurorad.api.calls import Call
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response, ResponseDetail, Result

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
