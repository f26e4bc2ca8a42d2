"""Traffic between an engine and a master: taken down from a real one, and played again by one that is not.

A recording is a list of lines in order: a call of ours and its answer, or what a master told over a subscription.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h11
import trio

from aurorad.engine.recordio import Records
from tests.engine.mesos.fake_master import Answer, Json, Stream, serving

FOLDER = Path(__file__).parent / "recordings"

_PATH = "/api/v1/scheduler"


def read(name: str) -> list[Json]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


def write(name: str, lines: Iterable[Json]) -> None:
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


class Recorder:
    """Stands between an engine and a real master."""

    def __init__(self, master: str) -> None:
        self._master = master
        self._streams = 0
        self._nursery: trio.Nursery
        self._calls: trio.abc.Stream
        self._http = h11.Connection(h11.CLIENT)
        self._in_turn = trio.Lock()
        self.lines: list[Json] = []

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[str]:
        """Within, what goes over this address is taken down."""
        async with await self._connect() as self._calls, trio.open_nursery() as self._nursery:
            async with serving(self.handle) as address:
                yield address
            self._nursery.cancel_scope.cancel()

    async def _connect(self) -> trio.SocketStream:
        host, port = self._master.split(":")
        return await trio.open_tcp_stream(host, int(port))

    async def handle(self, call: Json, headers: Mapping[str, str]) -> Answer | Stream:
        line: Json = {"call": call}
        self.lines.append(line)
        if call["type"] == "SUBSCRIBE":
            return await self._subscribe(line, headers)
        async with self._in_turn:
            await _request(self._calls, self._http, call, headers)
            response = await _next(self._calls, self._http)
            text = b""
            while isinstance(data := await _next(self._calls, self._http), h11.Data):
                text += data.data
            self._http.start_next_cycle()
        line["answer"] = {"status": response.status_code, "text": text.decode()}
        return Answer(response.status_code, text.decode())

    async def _subscribe(self, line: Json, headers: Mapping[str, str]) -> Answer | Stream:
        upstream, http = await self._connect(), h11.Connection(h11.CLIENT)
        await _request(upstream, http, line["call"], headers)
        response = await _next(upstream, http)
        if response.status_code != 200:
            text = (await _next(upstream, http)).data.decode()
            line["answer"] = {"status": response.status_code, "text": text}
            await upstream.aclose()
            return Answer(response.status_code, text)
        line["answer"] = {"status": 200, "stream": self._streams}
        stream = Stream(dict(response.headers)[b"mesos-stream-id"].decode(), line["call"], headers)
        self._nursery.start_soon(self._pass_on, upstream, http, stream, self._streams)
        self._streams += 1
        return stream

    async def _pass_on(self, upstream: trio.SocketStream, http: h11.Connection, stream: Stream, number: int) -> None:
        records = Records(json.loads)
        async with upstream:
            while isinstance(data := await _next(upstream, http), h11.Data):
                for event in records.feed(bytes(data.data)):
                    if event["type"] != "HEARTBEAT":
                        self.lines.append({"stream": number, "event": event})
                stream.send(bytes(data.data))
            self.lines.append({"stream": number, "event": None})
            stream.end()


async def _request(stream: trio.abc.Stream, http: h11.Connection, call: Json, headers: Mapping[str, str]) -> None:
    body = json.dumps(call).encode()
    kept = [(name, value) for name, value in headers.items() if name != "content-length"]
    request = h11.Request(method="POST", target=_PATH, headers=[*kept, ("Content-Length", str(len(body)))])
    events = (request, h11.Data(data=body), h11.EndOfMessage())
    await stream.send_all(b"".join(http.send(event) or b"" for event in events))


async def _next(stream: trio.abc.Stream, http: h11.Connection) -> Any:
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(bytes(await stream.receive_some(65536)))
    return event


class Player:
    """A master that says what was recorded, each thing as soon as all calls before it have been made."""

    def __init__(self, lines: Sequence[Json]) -> None:
        self._lines = lines
        self._at = 0
        self._made: set[int] = set()
        self._streams: list[Stream] = []
        self.unexpected: list[Json] = []
        """Calls that are not in the recording."""

    async def handle(self, call: Json, headers: Mapping[str, str]) -> Answer | Stream:
        for at, line in enumerate(self._lines):
            if at not in self._made and line.get("call") == call:
                break
        else:
            self.unexpected.append(call)
            return Answer(500, "this call is not in the recording")
        self._made.add(at)
        answer = line["answer"]
        result: Answer | Stream
        if "stream" in answer:
            result = Stream(f"stream-{answer['stream']}", call, headers)
            self._streams.append(result)
        else:
            result = Answer(answer["status"], answer["text"])
        self._go_on()
        return result

    def _go_on(self) -> None:
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if "call" in line:
                if self._at not in self._made:
                    return
            elif line["event"] is None:
                self._streams[line["stream"]].end()
            else:
                self._streams[line["stream"]].tell(line["event"])
            self._at += 1


# What two recordings of the same have in common.

_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{10,}(-[SO]?\d+)?|stream-\d+")


def answers(lines: Iterable[Json]) -> set[str]:
    """How calls were answered, by kind."""
    return {
        f"{line['call']['type']} {line['answer']['status']} {_IDS.sub('<id>', line['answer'].get('text', ''))}"
        for line in lines
        if "call" in line
    }


def forms(lines: Iterable[Json]) -> dict[str, set[str]]:
    """Which fields there were in each kind of event, and of what type."""
    seen: dict[str, set[str]] = {}
    for line in lines:
        event = line.get("event")
        if event is not None:
            status = event.get("update", {}).get("status", {})
            kind = " ".join([event["type"], *(status[key] for key in ("state", "reason") if key in status)])
            seen.setdefault(kind, set()).update(_fields("", event))
    return seen


def _fields(path: str, value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name != "executor_ids":  # an offer names those that run there at the moment, if any do
                yield from _fields(f"{path}.{name}", each)
    elif isinstance(value, list):
        for each in value:
            yield from _fields(f"{path}[]", each)
    else:
        yield f"{path} {type(value).__name__}"
