"""Answers in gzip for those who accept it (http-endpoints sheet, introduction)."""

from __future__ import annotations

import zlib

import trio
from quart import Response, request
from quart.wrappers.response import DataBody

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
        or not response.headers.get("Content-Type", "").startswith(_TYPES)
        or request.accept_encodings["gzip"] <= 0
    ):
        return response
    data = response.response.data
    if len(data) < _WORTH_IT_BYTES:
        return response
    small = _gzip(data) if len(data) < _LARGE_BYTES else await trio.to_thread.run_sync(_gzip, data)
    response.set_data(small)
    response.headers["Content-Encoding"] = "gzip"
    response.headers.add("Vary", "Accept-Encoding")
    return response


def _gzip(data: bytes) -> bytes:
    return zlib.compress(data, level=1, wbits=31)
