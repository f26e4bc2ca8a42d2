"""Broken requests: bodies that were right once and then went through the mill, and bodies that never were."""

from __future__ import annotations

import random
import re
from typing import NamedTuple

import msgspec

from aurorad.api import binary, compact, named_json, tjson
from aurorad.api.calls import Call, CommitRecovery, PerformBackup, Snapshot, StageRecovery
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
# Left out is what ends the scheduler, or fills the disk if it is done all the time.
_V1 = tuple(
    (route.method, re.sub(r"\{\w+\}", "%s", route.path))
    for route in ROUTES
    if not {CommitRecovery, PerformBackup, Snapshot, StageRecovery} & set(route.makes)
)
_PLACES = ("www", "prod", "a", "b", "0", "-1", "7", "x", "www-prod-a-0", "%00", "%2e%2e", "a%20b", "host-1")
_QUESTIONS = ("", "", "?limit=1", "?limit=x&cursor=%ff", "?status=RUNNING&role=www", "?role=&instance=1&instance=y")


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


def _v1_body(call: Call, numbers: random.Random) -> bytes:
    """Bodies are an argument, or a few."""
    arguments = named_json.to_json(call)
    whole = not arguments or numbers.random() < 0.5
    return msgspec.json.encode(arguments if whole else numbers.choice(list(arguments.values())))


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
                method, path = numbers.choice(_V1)
                path %= tuple(numbers.choice(_PLACES) for _ in range(path.count("%s")))
                return Request(method, path + numbers.choice(_QUESTIONS), "application/json", _v1_body(call, numbers))
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
