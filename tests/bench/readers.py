"""Small requests over several connections, as cheap for whoever asks as can be: it is the daemon that is measured."""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import ExitStack

_END_OF_HEAD, _LENGTH = b"\r\n\r\n", b"content-length: "
_WAIT_S = 30.0


def post(path: str, type_: str, body: bytes) -> bytes:
    """A request as it goes over the line."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {type_}\r\nAccept: {type_}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answered(host: str, port: int, request: bytes, connections: int, seconds: float) -> float:
    """How many of the same request are answered a second, all connections together; each asks when it was answered.

    All answers must be as long as the first one.
    """
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        socks = [stack.enter_context(socket.create_connection((host, port), _WAIT_S)) for _ in range(connections)]
        expected = max(_ask_once(sock, request) for sock in socks)
        missing = dict.fromkeys(socks, expected)
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ, sock)
            sock.send(request)
        start, count = time.monotonic(), 0
        while (now := time.monotonic()) < start + seconds:
            for key, _ in selector.select(_WAIT_S):
                sock = key.data
                data = sock.recv(1 << 16)
                begins = missing[sock] == expected
                assert data.startswith(b"HTTP/1.1 200 ") if begins else data, data[:200]
                missing[sock] -= len(data)
                if missing[sock] == 0:
                    missing[sock] = expected
                    count += 1
                    sock.send(request)
    return count / (now - start)


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
