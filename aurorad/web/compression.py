"""Answers in gzip for those who accept it (http-endpoints sheet, introduction)."""

from __future__ import annotations

import zlib

import trio
from quart import Response, request
from quart.wrappers.response import DataBody
from werkzeug.http import parse_accept_header

_WORTH_IT_BYTES = 4 << 10
# From here on compressing takes a millisecond and more, which others need not wait for.
_LARGE_BYTES = 64 << 10
_TYPES = ("application/json", "application/vnd.apache.thrift.", "image/svg+xml", "text/")


async def compress(response: Response) -> Response:
    """The answer to the present request, compressed if that is worth it. What comes in a stream or a file stays."""
    if (
        response.status_code != 200
        or not isinstance(response.response, DataBody)
        or "Content-Encoding" in response.headers
    ):
        return response
    type_, accepted = response.headers.get("Content-Type", ""), request.headers.get("Accept-Encoding")
    small = await compressed(response.response.data, type_, accepted)
    if small is not None:
        response.set_data(small)
        response.headers["Content-Encoding"] = "gzip"
        response.headers.add("Vary", "Accept-Encoding")
    return response


async def compressed(data: bytes | bytearray, type_: str, accepted: str | None) -> bytes | None:
    """The data of that type in gzip, for who has sent that ``Accept-Encoding``; None if it is better as it is."""
    if len(data) < _WORTH_IT_BYTES or not type_.startswith(_TYPES) or parse_accept_header(accepted)["gzip"] <= 0:
        return None
    return _gzip(data) if len(data) < _LARGE_BYTES else await trio.to_thread.run_sync(_gzip, data)


def _gzip(data: bytes | bytearray) -> bytes:
    return zlib.compress(data, level=1, wbits=31)
