"""``/api``: thrift over HTTP, in both encodings (wire sheet, section 1; http-endpoints sheet, 3.1)."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import TypeVar, TypeVarTuple, Unpack

import trio
from quart import Blueprint, Response, request

from aurorad.api import binary, tjson
from aurorad.api.calls import CALLS, ApplicationException, Call, Reply
from aurorad.api.results import Response as Answer
from aurorad.api.struct import ThriftStruct
from aurorad.api.wire import BINARY_TYPE, JSON_TYPE, MessageHeader, MessageType, UnrecognizedType, WireError
from aurorad.rules.permissions import Caller

_JSON_TYPES = {"", "application/x-thrift", "application/json", JSON_TYPE, f"{JSON_TYPE};charset=utf-8"}

# Larger than any job description; a bound so that nobody fills the memory.
MAX_BODY_BYTES = 16 << 20
# From here on encoding and decoding take some milliseconds, which others need not wait for.
_BIG_WEIGHT = 5_000
_BIG_BODY_BYTES = 256 << 10
_LONG_TEXT = 1_000
_WORTH_COMPRESSING_BYTES = 4 << 10

T = TypeVar("T")
Args = TypeVarTuple("Args")
Handle = Callable[[Call, Caller], Awaitable[Answer]]


_UNKNOWN_METHOD = 1
_PROTOCOL_ERROR = 7


class Encoding(Enum):
    JSON = JSON_TYPE
    BINARY = BINARY_TYPE


def thrift_endpoint(handle: Handle, caller: Callable[[], Caller]) -> Blueprint:
    """`handle` answers a call made by a caller; `caller` says who makes the present request."""
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
        return await _respond(_envelope(header, MessageType.REPLY), Reply(await handle(call, caller())))

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
    return await _off_loop(_decode, encoding, body, big=len(body) > _BIG_BODY_BYTES)


def _request_encoding(content_type: str) -> Encoding | None:
    normal = content_type.replace(" ", "").lower()
    if normal == BINARY_TYPE:
        return Encoding.BINARY
    return Encoding.JSON if normal in _JSON_TYPES else None


def _decode(encoding: Encoding, body: bytes) -> tuple[MessageHeader, Call | ApplicationException]:
    """The call, or what to answer instead of making it. Raises `WireError` for bytes that are no message."""
    if encoding is Encoding.JSON:
        message = tjson.decode_message(body)
        cls = CALLS.get(message.header.method)
        return message.header, message.body(cls) if cls is not None else _unknown(message.header)
    header, position = binary.decode_header(body)
    cls = CALLS.get(header.method)
    if cls is None:
        return header, _unknown(header)
    try:
        return header, binary.read_struct(cls, body, position)[0]
    except UnrecognizedType as error:
        return header, ApplicationException(f"Unrecognized type {error.tag}", _PROTOCOL_ERROR)


def _unknown(header: MessageHeader) -> ApplicationException:
    return ApplicationException(f"Invalid method name: '{header.method}'", _UNKNOWN_METHOD)


def weight(value: object) -> int:
    """About how many values there are in one to be encoded; for a collection as many as if all were like the first."""
    if isinstance(value, ThriftStruct):
        return 1 + sum(weight(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, tuple | frozenset):
        return 1 + len(value) * weight(next(iter(value))) if value else 1
    if isinstance(value, Mapping):
        return 1 + 2 * len(value)
    return 1 + len(value) // _LONG_TEXT if isinstance(value, str | bytes) else 1


def _envelope(call: MessageHeader, kind: MessageType) -> MessageHeader:
    return MessageHeader(call.method, kind, call.sequence)


async def _respond(header: MessageHeader, body: ThriftStruct) -> Response:
    encoding = Encoding.BINARY if request.headers.get("Accept") == BINARY_TYPE else Encoding.JSON
    encode = binary.encode_message if encoding is Encoding.BINARY else tjson.encode_message
    data = await _off_loop(encode, header, body, big=weight(body) > _BIG_WEIGHT)
    response = Response(data, 200, content_type=encoding.value)
    if len(data) >= _WORTH_COMPRESSING_BYTES and request.accept_encodings["gzip"] > 0:
        response.set_data(await _off_loop(_gzip, data, big=True))
        response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
    return response


def _gzip(data: bytes) -> bytes:
    return zlib.compress(data, level=1, wbits=31)


async def _off_loop(function: Callable[[Unpack[Args]], T], *args: *Args, big: bool) -> T:
    """Call `function` here if it is quick, in a thread if it is `big`."""
    if big:
        return await trio.to_thread.run_sync(function, *args)
    return function(*args)
