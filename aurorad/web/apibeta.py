"""``/apibeta/{method}``: the calls of ``/api`` as plain JSON (http-endpoints sheet, section 3.3).

The body is an object of the method's parameters by the names of the IDL, the answer the ``Response`` struct.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from quart import Blueprint, Response, request

from aurorad.api import named_json
from aurorad.api.calls import CALLS, Call
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response as Answer
from aurorad.api.results import ResponseDetail
from aurorad.api.struct import fields_of
from aurorad.api.wire import WireError
from aurorad.rules.permissions import Caller
from aurorad.web.large import decoded, encoded
from aurorad.web.thrift import Handle

_INTERFACE = "/api/aurora.thrift"  # where methods and parameters can be looked up


def apibeta_endpoint(handle: Handle, caller: Callable[[], Caller]) -> Blueprint:
    """`handle` answers a call made by a caller; `caller` says who makes the present request."""
    blueprint = Blueprint("apibeta", __name__)

    @blueprint.get("/apibeta")
    async def interface() -> Response:
        return Response("", 303, headers={"Location": _INTERFACE})

    @blueprint.post("/apibeta/<method>")
    async def call(method: str) -> Response:
        cls = CALLS.get(method)
        if cls is None:
            return await _refused(f"Method {method} does not exist.", 404)
        body = await request.get_data(as_text=False)
        assert isinstance(body, bytes)
        try:
            made = await decoded(_call, body, cls)
        except WireError as error:
            return await _refused(str(error), 400)
        return await _respond(await handle(made, caller()), 200)

    return blueprint


def _call(body: bytes, cls: type[Call]) -> Call:
    """Raises `WireError`."""
    try:
        parameters = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise WireError("Request must be valid JSON") from None
    if not isinstance(parameters, dict):
        raise WireError("Request data must be a JSON object of method parameters.")
    names = [field.name for field in fields_of(cls)]
    try:
        return named_json.from_json(cls, {name: parameters[name] for name in names if name in parameters})
    except WireError as error:
        raise WireError(f"Failed to parse parameter {error}") from None


async def _refused(message: str, status: int) -> Response:
    return await _respond(Answer(ResponseCode.ERROR, details=(ResponseDetail(message),)), status)


async def _respond(answer: Answer, status: int) -> Response:
    return Response(await encoded(answer, named_json.encode), status, content_type="application/json")
