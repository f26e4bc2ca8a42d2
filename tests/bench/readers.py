"""Small requests over several connections, as cheap for whoever asks as can be: it is the daemon that is measured."""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import ExitStack

_END_OF_HEAD, _LENGTH = b"\r\n\r\n", b"content-length: "
_WAIT_S = 30.0
_MOST_REQUESTS = 900
"""Over one connection: the daemon ends those that have had a thousand."""


def post(path: str, type_: str, body: bytes) -> bytes:
    """A request as it goes over the line."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {type_}\r\nAccept: {type_}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answered(host: str, port: int, request: bytes, connections: int, seconds: float) -> float:
    """How many of the same request are answered a second, all connections together; each asks when it was answered.

    All answers must be as long as the first one.
    """
    with ExitStack() as stack, selectors.DefaultSelector() as selector:

        def connect() -> _Reader:
            reader = _Reader(stack.enter_context(socket.create_connection((host, port), _WAIT_S)), request)
            selector.register(reader.sock, selectors.EVENT_READ, reader)
            return reader

        readers = [connect() for _ in range(connections)]
        for reader in readers:
            reader.ask()
        start, count = time.monotonic(), 0
        while (now := time.monotonic()) < start + seconds:
            for key, _ in selector.select(_WAIT_S):
                reader = key.data
                if reader.receive():
                    count += 1
                    if reader.asked >= _MOST_REQUESTS:
                        selector.unregister(reader.sock)
                        reader.sock.close()
                        reader = connect()
                    reader.ask()
    return count / (now - start)


class _Reader:
    """One connection, over which one request was answered already."""

    def __init__(self, sock: socket.socket, request: bytes) -> None:
        self.sock = sock
        self.asked = 1
        self._request = request
        self._expected = self._missing = _ask_once(sock, request)

    def ask(self) -> None:
        self.asked += 1
        self.sock.send(self._request)

    def receive(self) -> bool:
        """What has come; whether the answer is complete."""
        data = self.sock.recv(1 << 16)
        begins = self._missing == self._expected
        assert data.startswith(b"HTTP/1.1 200 ") if begins else data, data[:200]
        self._missing -= len(data)
        assert self._missing >= 0, data[:200]
        if self._missing:
            return False
        self._missing = self._expected
        return True


def _ask_once(sock: socket.socket, request: bytes) -> int:
    """The length of the answer."""
    sock.sendall(request)
    data = b""
    while _END_OF_HEAD not in data:
        data += sock.recv(1 << 16)
    head, _, body = data.partition(_END_OF_HEAD)
    length = int(head.lower().partition(_LENGTH)[2].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(1 << 16)
    return len(head) + len(_END_OF_HEAD) + length
