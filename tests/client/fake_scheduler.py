"""A scheduler that answers what a test tells it to, over real HTTP in thrift's binary encoding."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from aurorad.api import binary
from aurorad.api.calls import CALLS, Call, GetTierConfigs, Reply
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response, ResponseDetail, Result
from aurorad.api.wire import MessageHeader, MessageType
from client.config import DEFAULT_TIERS


@dataclasses.dataclass(frozen=True)
class Http:
    """An answer that is not a thrift one: this status, these headers and bytes."""

    status: int
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""


class Drop:
    """No answer: the connection is closed."""


Answer = Response | Http | Drop
Answerer = Callable[[Any], Answer]


def ok(*details: str, **result: object) -> Response:
    """``ok("text", get_jobs_result=...)``."""
    return Response(
        ResponseCode.OK,
        result=msgspec.structs.replace(Result(), **result) if result else None,
        details=tuple(map(ResponseDetail, details)),
    )


def refused(text: str, code: ResponseCode = ResponseCode.INVALID_REQUEST, **result: object) -> Response:
    made = msgspec.structs.replace(Result(), **result) if result else None
    return Response(code, result=made, details=(ResponseDetail(text),))


@dataclasses.dataclass
class FakeScheduler:
    """`calls` and `requests` are what came in, in order; `on` says what goes out."""

    url: str
    calls: list[Call] = dataclasses.field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = dataclasses.field(default_factory=list)
    answers: dict[type[Call], list[Answer | Answerer]] = dataclasses.field(default_factory=dict)
    pages: dict[str, Http] = dataclasses.field(default_factory=dict)
    """Answers by path, whatever is sent there."""

    def on(self, call: type[Call], *answers: Answer | Answerer) -> None:
        """Answer the first such call with the first of these and so on; the last is for all that follow."""
        self.answers[call] = list(answers)

    def of(self, call: type[Call]) -> list[Any]:
        """The calls of this kind that came in."""
        return [made for made in self.calls if isinstance(made, call)]

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        prepared = self.answers.get(type(call))
        if not prepared:
            return refused(f"{call.method()} was not expected")
        answer = prepared.pop(0) if len(prepared) > 1 else prepared[0]
        return answer(call) if callable(answer) else answer


@contextmanager
def running() -> Iterator[FakeScheduler]:
    """A scheduler on a free port of this machine, which already knows its tiers."""
    connections: set[socket.socket] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            connections.add(self.connection)

        def finish(self) -> None:
            connections.discard(self.connection)
            super().finish()

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            fake.requests.append((self.path, dict(self.headers)))
            header, start = binary.decode_header(data)
            call = binary.read_struct(CALLS[header.method], data, start)[0]
            if self.path in fake.pages:
                fake.calls.append(call)
                self.respond(fake.pages[self.path])
                return
            answer = fake.answer(call)
            if isinstance(answer, Drop):
                self.close_connection = True
                return
            if isinstance(answer, Response):
                reply = MessageHeader(header.method, MessageType.REPLY, header.sequence)
                answer = Http(200, body=binary.encode_message(reply, Reply(answer)))
            self.respond(answer)

        def do_GET(self) -> None:
            fake.requests.append((self.path, dict(self.headers)))
            self.respond(fake.pages.get(self.path.partition("?")[0], Http(404)))

        def respond(self, answer: Http) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    fake = FakeScheduler(f"http://127.0.0.1:{server.server_port}")
    fake.on(GetTierConfigs, ok(get_tier_config_result=DEFAULT_TIERS))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        for connection in list(connections):  # the HTTP library keeps some open until the collector finds them
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
