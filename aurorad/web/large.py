"""What takes milliseconds to encode or decode is done in a thread, and large answers go out in pieces: others need not
wait for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TypeVar, TypeVarTuple, Unpack

import trio
from quart import Response
from quart.wrappers.response import DataBody

from aurorad.api.struct import ThriftStruct

# From here on encoding and decoding take some milliseconds.
_BIG_WEIGHT = 5_000
_BIG_BODY_BYTES = 256 << 10
_LONG_TEXT = 1_000
# At once: more of them would only take each other's time, and much memory.
_MOST_THREADS = 2
_THREADS: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("aurorad.large.threads")
PIECE_BYTES = 256 << 10

S = TypeVar("S", bound=ThriftStruct)
T = TypeVar("T")
Args = TypeVarTuple("Args")


async def decoded(decode: Callable[[bytes, Unpack[Args]], T], body: bytes, *args: *Args) -> T:
    """``decode(body, *args)``, with its errors."""
    if len(body) > _BIG_BODY_BYTES:
        return await trio.to_thread.run_sync(decode, body, *args, limiter=_threads())
    return decode(body, *args)


async def encoded(value: S, encode: Callable[[S], T]) -> T:
    """``encode(value)``."""
    if weight(value) > _BIG_WEIGHT:
        return await trio.to_thread.run_sync(encode, value, limiter=_threads())
    return encode(value)


def _threads() -> trio.CapacityLimiter:
    """This loop's."""
    try:
        return _THREADS.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_MOST_THREADS)
        _THREADS.set(limiter)
        return limiter


def weight(value: object) -> int:
    """About how many values there are in one to be encoded; for a collection as many as if all were like the first."""
    if value is None or isinstance(value, int | float):
        return 1
    if isinstance(value, str | bytes):
        return 1 + len(value) // _LONG_TEXT
    if isinstance(value, ThriftStruct):
        return 1 + sum([weight(getattr(value, name)) for name in value.__struct_fields__])
    if isinstance(value, tuple | frozenset):
        return 1 + len(value) * weight(next(iter(value))) if value else 1
    return 1 + 2 * len(value) if isinstance(value, Mapping) else 1


def answer_of(data: bytes | bytearray, type_: str) -> Response:
    """An answer whose data nobody copies as a whole."""
    response = Response(b"", content_type=type_)
    response.response = InPieces(data)
    response.content_length = len(data)
    return response


class InPieces(DataBody):
    """The body of an answer, of which nobody has to copy more than a piece at a time."""

    def __init__(self, data: bytes | bytearray) -> None:
        super().__init__(b"")
        self.data: bytes | bytearray = data  # type: ignore[assignment]  # the base only cuts it
        self.end = len(data)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Pieces(pieces(self.data, self.begin, self.end))


class _Pieces(AsyncIterator[bytes]):
    def __init__(self, data: Iterator[bytes]) -> None:
        self._data = data

    async def __anext__(self) -> bytes:
        for piece in self._data:
            return piece
        raise StopAsyncIteration


def pieces(data: bytes | bytearray, begin: int, end: int) -> Iterator[bytes]:
    """A part of the data, copied piece by piece when it is asked for."""
    view = memoryview(data)
    for start in range(begin, end, PIECE_BYTES):
        yield bytes(view[start : min(start + PIECE_BYTES, end)])
