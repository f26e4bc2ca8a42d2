"""A Docker registry, version 2, that hands out tokens."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIGEST = "sha256:" + "0123456789abcdef" * 4


@dataclasses.dataclass
class FakeRegistry:
    """`challenge` is what an answer 401 carries; with none, everybody may read. `{url}` in it is the registry's own."""

    url: str
    images: dict[str, str] = dataclasses.field(default_factory=lambda: {"library/python:3.11": DIGEST})
    challenge: str | None = None
    token: str | None = "secret"
    private: bool = False
    status: int = 200
    requests: list[tuple[str, str, str | None]] = dataclasses.field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")


BEARER = 'Bearer realm="{url}/token",service="registry",scope="repository:library/python:pull,push",error="x"'


@contextmanager
def running() -> Iterator[FakeRegistry]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            fake.requests.append(("GET", self.path, None))
            self._answer(200, {}, json.dumps({"token": fake.token} if fake.token else {}).encode())

        def do_HEAD(self) -> None:
            given = self.headers.get("Authorization")
            fake.requests.append(("HEAD", self.path, self.headers.get("Accept")))
            is_manifest = self.path != "/v2/"
            if fake.challenge is not None and (given != "Bearer secret" or (fake.private and is_manifest)):
                header = {"Www-Authenticate": fake.challenge.format(url=fake.url)} if fake.challenge else {}
                self._answer(401, header)
            elif not is_manifest:
                self._answer(fake.status, {})
            else:
                name, tag = self.path.removeprefix("/v2/").split("/manifests/")
                digest = fake.images.get(f"{name}:{tag}")
                self._answer(200 if digest else 404, {"Docker-Content-Digest": digest} if digest else {})

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    fake = FakeRegistry(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
