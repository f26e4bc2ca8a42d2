"""Sends broken requests over many connections to a daemon, and looks whether it minds."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import psutil

from aurorad.api import tjson
from aurorad.api.calls import GetTierConfigs
from aurorad.api.wire import JSON_TYPE, MessageHeader, MessageType
from tests.fuzz.requests import Request, Requests

CONNECTIONS = 8
SEARCH_AFTER = 0.2
"""The part of all bodies after which memory is looked at for the first time: by then all caches are warm."""
PATIENCE_S = 30.0
WATCH_EVERY_S = 0.2


class Found(NamedTuple):
    """What went wrong, in sentences, and what was seen."""

    wrong: tuple[str, ...]
    statuses: Counter[int]
    slowest_watch_s: float
    grown_mb: float
    seconds: float


def attack(address: tuple[str, int], pid: int, bodies: int, seed: int, *, corpus: int = 3_000) -> Found:
    """`pid` is the daemon's, whose memory must not grow."""
    started, process = time.monotonic(), psutil.Process(pid)
    wrong: list[str] = []
    statuses: Counter[int] = Counter()
    watch = _Watch(address)
    warm = int(bodies * SEARCH_AFTER)
    for count, number in ((warm, 0), (bodies - warm, 1)):
        before = process.memory_info().rss
        with ThreadPoolExecutor(CONNECTIONS) as senders:
            shares = [count // CONNECTIONS + (i < count % CONNECTIONS) for i in range(CONNECTIONS)]
            seeds = [seed * 1_000 + number * 100 + i for i in range(CONNECTIONS)]
            for some_wrong, some in senders.map(lambda share, seed: _send(address, share, seed, corpus), shares, seeds):
                wrong += some_wrong
                statuses += some
    grown = (process.memory_info().rss - before) / (1 << 20)
    slowest = watch.stop()
    wrong += watch.wrong
    return Found(tuple(wrong), statuses, slowest, grown, time.monotonic() - started)


def _send(address: tuple[str, int], count: int, seed: int, corpus: int) -> tuple[list[str], Counter[int]]:
    requests, connection = Requests(seed, corpus), _Connection(address)
    wrong, statuses = [], Counter[int]()
    for number in range(count):
        request = requests.next()
        try:
            status = connection.ask(request.raw())
        except OSError as error:
            wrong.append(f"{type(error).__name__} {error}: request {number} of seed {seed}: {_shown(request)}")
            connection = _Connection(address)
            if len(wrong) > 20:
                break
            continue
        statuses[status] += 1
        if status >= 500 and status != 503:
            wrong.append(f"{status}: request {number} of seed {seed}: {_shown(request)}")
    connection.close()
    return wrong, statuses


def _shown(request: Request) -> str:
    return f"{request.method} {request.path} {request.type!r} {request.body[:2000]!r}"


class _Connection:
    """A client that knows only as much of HTTP as it needs to send the next request."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket = socket.create_connection(address, timeout=PATIENCE_S)

    def ask(self, raw: bytes) -> int:
        """The status. Raises `OSError` if there is no answer."""
        self._socket.sendall(raw)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
        status = int(lines[0].split(b" ")[1])
        missing = int(headers.get(b"content-length", b"0")) - len(body)
        while missing > 0:
            missing -= len(self._some())
        if b"transfer-encoding" in headers or headers.get(b"connection") == b"close":
            self.close()
            self._socket = socket.create_connection(self._address, timeout=PATIENCE_S)
        return status

    def _some(self) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("closed without an answer")
        return data

    def close(self) -> None:
        self._socket.close()


class _Watch:
    """Makes a small call all the time, as if nothing were the matter."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.wrong: list[str] = []
        self._address = address
        self._slowest = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> float:
        """The slowest answer, in seconds."""
        self._stopping.set()
        self._thread.join()
        return self._slowest

    def _run(self) -> None:
        for seconds in self._answers():
            self._slowest = max(self._slowest, seconds)

    def _answers(self) -> Iterator[float]:
        body = tjson.encode_message(MessageHeader("getTierConfigs", MessageType.CALL, 0), GetTierConfigs())
        raw = Request("POST", "/api", JSON_TYPE, body).raw()
        connection = _Connection(self._address)
        while not self._stopping.wait(WATCH_EVERY_S):
            start = time.monotonic()
            try:
                status = connection.ask(raw)
            except OSError as error:
                self.wrong.append(f"a good call had no answer: {type(error).__name__} {error}")
                return
            if status != 200:
                self.wrong.append(f"a good call was answered with {status}")
            yield time.monotonic() - start
        connection.close()
