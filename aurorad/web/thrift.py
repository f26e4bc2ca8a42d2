"""``/api``: thrift over HTTP, in any of its encodings (wire sheet, section 1; http-endpoints sheet, 3.1), and its IDL.

The original knows no compact encoding: that is for programs which read many tasks over a slow line. Thrift's own HTTP
clients say ``application/x-thrift`` whatever they send; their bodies tell the encoding, and are answered in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from quart import Blueprint, Response, request
from werkzeug.datastructures import Headers

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
_TEXT = "text/plain; charset=utf-8"
_JSON_TYPES = {"", "application/json", JSON_TYPE, f"{JSON_TYPE};charset=utf-8"}

# Larger than any job description; a bound so that nobody fills the memory.
MAX_BODY_BYTES = 16 << 20
AnyHeaders = Mapping[str, str] | Headers
Handle = Callable[[Call, Caller], Awaitable[Answer]]
PATH = "/api"
ANSWERED = "aurorad.answered"
"""Under this name the application's extensions have an `Answered`, for the short way (`short_way.py`)."""
RAISED = "aurorad.raised"
"""Under this name a request's scope has the exception that came of it there."""

_UNKNOWN_METHOD = 1
_PROTOCOL_ERROR = 7


class Encoding(Enum):
    JSON = JSON_TYPE
    BINARY = BINARY_TYPE
    COMPACT = COMPACT_TYPE


class Message(NamedTuple):
    """What goes out over HTTP."""

    status: int
    type: str
    data: bytes | bytearray


Answered = Callable[[bytes, AnyHeaders, Caller], Awaitable[Message]]
"""What is answered to a body, with some headers, of a caller. Raises what the handler of calls does."""


def thrift_endpoint(handle: Handle, caller: Callable[[], Caller]) -> Blueprint:
    """`handle` answers a call made by a caller; `caller` says who makes the present request."""
    blueprint = Blueprint("thrift", __name__)

    @blueprint.route(PATH, methods=["GET", "POST"])
    async def api() -> Response:
        raised = request.scope.get(RAISED)
        if isinstance(raised, Exception):
            raise raised
        body = await request.get_data(as_text=False)
        assert isinstance(body, bytes)
        message = await answered(body, request.headers, caller())
        if message.status != 200:
            return Response(bytes(message.data), message.status, content_type=message.type)
        return answer_of(message.data, message.type)

    async def answered(body: bytes, headers: AnyHeaders, caller: Caller) -> Message:
        try:
            header, call, encoding = await _received(body, headers)
        except UnsupportedType as error:
            return Message(415, _TEXT, str(error).encode())
        except WireError as error:
            return Message(400, _TEXT, f"Malformed request body: {error}\n".encode())
        accepted = _accepted(encoding, headers)
        if isinstance(call, ApplicationException):
            return await _encoded(header, MessageType.EXCEPTION, call, accepted)
        return await _encoded(header, MessageType.REPLY, Reply(await handle(call, caller)), accepted)

    blueprint.record_once(lambda state: state.app.extensions.update({ANSWERED: answered}))

    @blueprint.get("/api/aurora.thrift")
    async def interface() -> Response:
        return Response(text, content_type="text/plain; charset=utf-8")

    text = IDL.read_text()
    return blueprint


class UnsupportedType(WireError):
    """A body of a type that holds no message."""


async def received_call() -> Call | ApplicationException:
    """The call in the present request, or what to answer instead. Raises `WireError` for a body that is no message."""
    body = await request.get_data(as_text=False)
    assert isinstance(body, bytes)
    return (await _received(body, request.headers))[1]


class _Received(NamedTuple):
    header: MessageHeader
    call: Call | ApplicationException
    encoding: Encoding


async def _received(body: bytes, headers: AnyHeaders) -> _Received:
    type_ = headers.get("Content-Type", "")
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


async def _encoded(header: MessageHeader, kind: MessageType, body: ThriftStruct, encoding: Encoding) -> Message:
    envelope = MessageHeader(header.method, kind, header.sequence)
    data = await encoded(body, lambda value: _WRITERS[encoding](envelope, value))
    return Message(200, encoding.value, data)


def _accepted(received: Encoding, headers: AnyHeaders) -> Encoding:
    accepted = headers.get("Accept")
    if accepted in (BINARY_TYPE, COMPACT_TYPE):
        return Encoding(accepted)
    if accepted is None and headers.get("Content-Type") == _ANY_THRIFT:
        return received
    return Encoding.JSON
