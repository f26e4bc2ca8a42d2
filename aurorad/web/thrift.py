"""``/api``: thrift over HTTP, in any of its encodings (wire sheet, section 1; http-endpoints sheet, 3.1), and its IDL.

The original knows no compact encoding: that is for programs which read many tasks over a slow line. Thrift's own HTTP
clients say ``application/x-thrift`` whatever they send; their bodies tell the encoding, and are answered in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from quart import Blueprint, Response, request

from aurorad.api import binary, compact, idl, tjson
from aurorad.api.calls import CALLS, ApplicationException, Call, Reply
from aurorad.api.results import Response as Answer
from aurorad.api.struct import ThriftStruct
from aurorad.api.wire import (
    BINARY_TYPE,
    COMPACT_TYPE,
    JSON_TYPE,
    MessageHeader,
    MessageType,
    UnrecognizedType,
    WireError,
)
from aurorad.rules.permissions import Caller
from aurorad.web.large import answer_of, decoded, encoded

IDL = Path(idl.__file__).parent / "api.thrift"
_ANY_THRIFT = "application/x-thrift"
_JSON_TYPES = {"", "application/json", JSON_TYPE, f"{JSON_TYPE};charset=utf-8"}

# Larger than any job description; a bound so that nobody fills the memory.
MAX_BODY_BYTES = 16 << 20
Handle = Callable[[Call, Caller], Awaitable[Answer]]

_UNKNOWN_METHOD = 1
_PROTOCOL_ERROR = 7


class Encoding(Enum):
    JSON = JSON_TYPE
    BINARY = BINARY_TYPE
    COMPACT = COMPACT_TYPE


def thrift_endpoint(handle: Handle, caller: Callable[[], Caller]) -> Blueprint:
    """`handle` answers a call made by a caller; `caller` says who makes the present request."""
    blueprint = Blueprint("thrift", __name__)

    @blueprint.route("/api", methods=["GET", "POST"])
    async def api() -> Response:
        try:
            header, call, encoding = await _received()
        except UnsupportedType as error:
            return Response(str(error), 415, mimetype="text/plain")
        except WireError as error:
            return Response(f"Malformed request body: {error}\n", 400, mimetype="text/plain")
        if isinstance(call, ApplicationException):
            return await _respond(header, MessageType.EXCEPTION, call, encoding)
        return await _respond(header, MessageType.REPLY, Reply(await handle(call, caller())), encoding)

    @blueprint.get("/api/aurora.thrift")
    async def interface() -> Response:
        return Response(text, content_type="text/plain; charset=utf-8")

    text = IDL.read_text()
    return blueprint


class UnsupportedType(WireError):
    """A body of a type that holds no message."""


async def received_call() -> Call | ApplicationException:
    """The call in the present request, or what to answer instead. Raises `WireError` for a body that is no message."""
    return (await _received())[1]


class _Received(NamedTuple):
    header: MessageHeader
    call: Call | ApplicationException
    encoding: Encoding


async def _received() -> _Received:
    type_ = request.headers.get("Content-Type", "")
    body = await request.get_data(as_text=False)
    assert isinstance(body, bytes)
    encoding = _encoding(type_, body[:1])
    if encoding is None:
        raise UnsupportedType(f"Unsupported Content-Type: {type_}")
    header, call = await decoded(_decode, body, encoding)
    return _Received(header, call, encoding)


def _encoding(content_type: str, first: bytes) -> Encoding | None:
    normal = content_type.replace(" ", "").lower()
    if normal in (BINARY_TYPE, COMPACT_TYPE):
        return Encoding(normal)
    if normal == _ANY_THRIFT:
        return _BY_FIRST_BYTE.get(first, Encoding.JSON)
    return Encoding.JSON if normal in _JSON_TYPES else None


_BY_FIRST_BYTE = {b"\x80": Encoding.BINARY, b"\x82": Encoding.COMPACT}


def _decode(body: bytes, encoding: Encoding) -> tuple[MessageHeader, Call | ApplicationException]:
    """The call, or what to answer instead of making it. Raises `WireError` for bytes that are no message."""
    if encoding is Encoding.JSON:
        message = tjson.decode_message(body)
        cls = CALLS.get(message.header.method)
        return message.header, message.body(cls) if cls is not None else _unknown(message.header)
    protocol = compact if encoding is Encoding.COMPACT else binary
    header, position = protocol.decode_header(body)
    cls = CALLS.get(header.method)
    if cls is None:
        return header, _unknown(header)
    try:
        return header, protocol.read_struct(cls, body, position)[0]
    except UnrecognizedType as error:
        return header, ApplicationException(f"Unrecognized type {error.tag}", _PROTOCOL_ERROR)


def _unknown(header: MessageHeader) -> ApplicationException:
    return ApplicationException(f"Invalid method name: '{header.method}'", _UNKNOWN_METHOD)


_WRITERS = {
    Encoding.JSON: tjson.write_message,
    Encoding.BINARY: binary.write_message,
    Encoding.COMPACT: compact.write_message,
}


async def _respond(header: MessageHeader, kind: MessageType, body: ThriftStruct, received: Encoding) -> Response:
    encoding = _accepted(received)
    envelope = MessageHeader(header.method, kind, header.sequence)
    data = await encoded(body, lambda value: _WRITERS[encoding](envelope, value))
    return answer_of(data, encoding.value)


def _accepted(received: Encoding) -> Encoding:
    accepted = request.headers.get("Accept")
    if accepted in (BINARY_TYPE, COMPACT_TYPE):
        return Encoding(accepted)
    if accepted is None and request.headers.get("Content-Type") == _ANY_THRIFT:
        return received
    return Encoding.JSON
