"""Broken requests: bodies that were right once and then went through the mill, and bodies that never were."""

from __future__ import annotations

import random
from typing import NamedTuple

from aurorad.api import binary, compact, named_json, tjson
from aurorad.api.wire import BINARY_TYPE, COMPACT_TYPE, JSON_TYPE, MessageHeader, MessageType
from aurorad.web.v1.blueprint import ROUTES
from tests.fuzz.values import any_call

CORPUS = 3_000
"""How many good bodies the broken ones are made of."""

_ENCODINGS = (
    (JSON_TYPE, tjson.encode_message),
    (BINARY_TYPE, binary.encode_message),
    (COMPACT_TYPE, compact.encode_message),
)
_ANY_TYPE = (JSON_TYPE, BINARY_TYPE, COMPACT_TYPE, "application/x-thrift", "application/json", "text/plain", "", "é;=,")
_JUNK = (
    *(b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01", b"\x80\x01\x00\x01", b"\x82\x21", b"\x0c\x00\x63"),
    *(b"[", b"]", b"{", b"}", b'"', b",", b":", b"[[[[[[[[", b'{"1":', b"1e999", b"-0", b"NaN", b"null", b"true"),
    *(b'"rec"', b'"i32"', b"99999999999999999999", b"\\ud800", b"\xc3", b"\x00", b'"\\u0000"', b'"setField"'),
)
_NAMES = {"role": "www", "environment": "prod", "name": "a", "instance": "0", "task": "t", "update": "u"}
_V1 = (
    *sorted({route.path.format(**_NAMES) for route in ROUTES if not route.path.endswith("/commit")}),
    *("/v1/nosuch", "/v1/jobs/www/prod/a?x=1", "/v1/tasks?limit=0", "/v1/tasks?cursor=%00"),
)
_METHODS = ("POST", "POST", "PUT", "PATCH", "DELETE")


class Request(NamedTuple):
    method: str
    path: str
    type: str
    body: bytes

    def raw(self) -> bytes:
        """As it goes over the wire; the type may be no text that HTTP allows."""
        head = f"{self.method} {self.path} HTTP/1.1\r\nHost: fuzz\r\nContent-Length: {len(self.body)}\r\n"
        type_ = b"Content-Type: " + self.type.encode() + b"\r\n" if self.type else b""
        return head.encode() + type_ + b"\r\n" + self.body


class Requests:
    """An endless supply; the same for the same seed."""

    def __init__(self, seed: int, corpus: int = CORPUS) -> None:
        self._numbers = random.Random(seed)
        self._good = [self._good_request() for _ in range(corpus)]

    def next(self) -> Request:
        numbers = self._numbers
        good = numbers.choice(self._good)
        match numbers.randrange(20):
            case 0:
                return good
            case 1:
                return good._replace(body=numbers.randbytes(numbers.randrange(200)))
            case 2:
                return good._replace(type=numbers.choice(_ANY_TYPE))
            case 3:
                return good._replace(body=good.body[: numbers.randrange(len(good.body) + 1)])
            case 4:
                other = numbers.choice(self._good).body
                return good._replace(
                    body=good.body[: numbers.randrange(len(good.body) + 1)] + other[numbers.randrange(len(other) + 1) :]
                )
        return good._replace(body=self._mutant(good.body))

    def _good_request(self) -> Request:
        numbers = self._numbers
        call = any_call(numbers)
        header = MessageHeader(call.method(), MessageType.CALL, numbers.randrange(9))
        match numbers.randrange(8):
            case 0:
                return Request("POST", f"/apibeta/{call.method()}", "application/json", named_json.encode(call))
            case 1:
                body = named_json.encode(call)
                return Request(numbers.choice(_METHODS), numbers.choice(_V1), "application/json", body)
            case 2:
                return Request("POST", "/plan", JSON_TYPE, tjson.encode_message(header, call))
        type_, encode = numbers.choice(_ENCODINGS)
        return Request("POST", "/api", type_, encode(header, call))

    def _mutant(self, body: bytes) -> bytes:
        """Some bytes changed, taken out, doubled, moved, or replaced by what hurts."""
        numbers, out = self._numbers, bytearray(body)
        for _ in range(numbers.randint(1, 4)):
            at = numbers.randrange(len(out) + 1)
            match numbers.randrange(7):
                case 0:
                    out[at : at + 1] = numbers.randbytes(1)
                case 1:
                    del out[at : at + numbers.randint(1, 8)]
                case 2:
                    out[at:at] = out[at : at + numbers.randint(1, 40)]
                case 3:
                    out[at:at] = numbers.choice(_JUNK)
                case 4:
                    junk = numbers.choice(_JUNK)
                    out[at : at + len(junk)] = junk
                case 5:
                    out[at:at] = numbers.choice(_JUNK) * numbers.choice((2, 10, 200))
                case 6 if at < len(out):
                    out[at] ^= 1 << numbers.randrange(8)
        return bytes(out)
