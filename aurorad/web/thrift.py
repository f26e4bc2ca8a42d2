"""``/api``: thrift over HTTP, in any of its encodings (wire sheet, section 1; http-endpoints sheet, 3.1), and its IDL.

The original knows no compact encoding: that is for programs which read many tasks over a slow line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from pathlib import Path

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
from aurorad.web.large import decoded, encoded

IDL = Path(idl.__file__).parent / "api.thrift"
_JSON_TYPES = {"", "application/x-thrift", "application/json", JSON_TYPE, f"{JSON_TYPE};charset=utf-8"}

# Larger than any job description; a bound so that nobody fills the memory.
MAX_BODY_BYTES = 16 << 20
Handle = Callable[[Call, str], Awaitable[Answer]]
User = Callable[[], str]

_UNKNOWN_METHOD = 1
_PROTOCOL_ERROR = 7


class Encoding(Enum):
    JSON = JSON_TYPE
    BINARY = BINARY_TYPE
    COMPACT = COMPACT_TYPE


def thrift_endpoint(handle: Handle, user: User) -> Blueprint:
    """`handle` answers a call made by a user; `user` says who makes the present request."""
    blueprint = Blueprint("thrift", __name__)

    @blueprint.route("/api", methods=["GET", "POST"])
    async def api() -> Response:
        try:
            header, call = await _received()
        except UnsupportedType as error:
            return Response(str(error), 415, mimetype="text/plain")
        except WireError as error:
            return Response(f"Malformed request body: {error}\n", 400, mimetype="text/plain")
        if isinstance(call, ApplicationException):
            return await _respond(_envelope(header, MessageType.EXCEPTION), call)
        return await _respond(_envelope(header, MessageType.REPLY), Reply(await handle(call, user())))

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


async def _received() -> tuple[MessageHeader, Call | ApplicationException]:
    encoding = _request_encoding(request.headers.get("Content-Type", ""))
    if encoding is None:
        raise UnsupportedType(f"Unsupported Content-Type: {request.headers['Content-Type']}")
    body = await request.get_data(as_text=False)
    assert isinstance(body, bytes)
    return await decoded(_decode, body, encoding)


def _request_encoding(content_type: str) -> Encoding | None:
    normal = content_type.replace(" ", "").lower()
    if normal in (BINARY_TYPE, COMPACT_TYPE):
        return Encoding(normal)
    return Encoding.JSON if normal in _JSON_TYPES else None


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


def _envelope(call: MessageHeader, kind: MessageType) -> MessageHeader:
    return MessageHeader(call.method, kind, call.sequence)


_ENCODERS = {
    Encoding.JSON: tjson.encode_message,
    Encoding.BINARY: binary.encode_message,
    Encoding.COMPACT: compact.encode_message,
}


async def _respond(header: MessageHeader, body: ThriftStruct) -> Response:
    accepted = request.headers.get("Accept")
    encoding = Encoding(accepted) if accepted in (BINARY_TYPE, COMPACT_TYPE) else Encoding.JSON
    data = await encoded(body, lambda value: _ENCODERS[encoding](header, value))
    return Response(data, 200, content_type=encoding.value)
