"""The executor's side of Mesos' v1 executor API: one stream of events, and calls beside it.

It speaks to a Mesos agent over TCP and to the local engine over a unix socket alike. What the agent has not
acknowledged, updates and the task itself, is kept and told again each time the executor subscribes.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import h11
import msgspec
import trio

from aurorad.engine import executor_api as api
from aurorad.engine.base import TaskState

RECOVERY_TIMEOUT_S = 15 * 60.0  # Mesos' defaults of the three
BACKOFF_MAX_S = 2.0
SHUTDOWN_GRACE_S = 5.0
CALL_TIMEOUT_S = 30.0
_FIRST_BACKOFF_S = 0.05
_LONGEST_BACKOFF_S = 0.5
"""A Mesos agent that was started again ends whoever has not subscribed after two seconds, and works hard meanwhile."""
_READ_BYTES = 64 << 10
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|secs|mins|hrs|days|weeks)", re.ASCII)

_log = logging.getLogger(__name__)


class BadEnvironment(ValueError):
    """The environment is not one that an agent sets: the text names the variable."""


class AgentGone(Exception):
    """There is no agent for this executor any more: it refused us, or stayed away for too long."""


class _Broken(Exception):
    """This connection is of no use; another may be."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the agent tells an executor through its environment (executor sheet, section 3; Mesos' executor API)."""

    framework_id: str
    executor_id: str
    endpoint: str
    """``host:port``, or ``unix:<path>``."""
    token: str | None = None
    checkpoint: bool = False
    """Whether the executor outlives its connection to the agent."""
    recovery_timeout_s: float = RECOVERY_TIMEOUT_S
    backoff_max_s: float = BACKOFF_MAX_S
    shutdown_grace_s: float = SHUTDOWN_GRACE_S
    """From SHUTDOWN until the agent ends the executor by force."""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `BadEnvironment`."""
        return cls(
            framework_id=_required(environment, "MESOS_FRAMEWORK_ID"),
            executor_id=_required(environment, "MESOS_EXECUTOR_ID"),
            endpoint=_required(environment, "MESOS_AGENT_ENDPOINT"),
            token=environment.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"),
            checkpoint=environment.get("MESOS_CHECKPOINT") in ("1", "true"),
            recovery_timeout_s=_duration(environment, "MESOS_RECOVERY_TIMEOUT", RECOVERY_TIMEOUT_S),
            backoff_max_s=_duration(environment, "MESOS_SUBSCRIPTION_BACKOFF_MAX", BACKOFF_MAX_S),
            shutdown_grace_s=_duration(environment, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", SHUTDOWN_GRACE_S),
        )


def _required(environment: Mapping[str, str], name: str) -> str:
    if name not in environment:
        raise BadEnvironment(f"{name} is not set: an executor is started by an agent, which sets it")
    return environment[name]


def _duration(environment: Mapping[str, str], name: str, default: float) -> float:
    """As Mesos writes them: fractions and weeks are allowed."""
    text = environment.get(name)
    if text is None:
        return default
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadEnvironment(f"{name}={text}: a duration such as 15mins was expected")
    return float(match[1]) * _UNITS[match[2]]


class AgentLink:
    """Events from the agent and updates to it. `run` must run for either."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int], rng: random.Random) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._rng = rng
        self._updates: dict[bytes, api.Update] = {}  # unacknowledged, in order
        self._tasks: dict[str, msgspec.Raw] = {}  # likewise, by id
        self._unsent: list[bytes] = []
        self._changed = trio.Event()

    def update(self, task_id: str, state: TaskState, message: str | None) -> None:
        """Report a task's state, and go on doing so until the agent has acknowledged it."""
        key = uuid.uuid4().bytes
        status = api.TaskStatus(
            api.Id(task_id),
            state,
            uuid=key,
            message=message,
            source="SOURCE_EXECUTOR",
            timestamp=self._now_ms() / 1000,
            executor_id=api.Id(self._settings.executor_id),
        )
        self._updates[key] = api.Update(status)
        self._unsent.append(key)
        self._wake()

    async def settled(self) -> None:
        """Wait until every update is acknowledged."""
        while self._updates:
            await self._changed.wait()

    async def run(self, events: trio.MemorySendChannel[api.Event]) -> None:
        """Subscribe, and again whenever the stream breaks; pass on all events but acknowledgements.

        Raises `AgentGone` once there is no point in trying: refused, not checkpointed, or the recovery timeout passed.
        """
        backoff_s = _FIRST_BACKOFF_S
        alone_since = trio.current_time()
        subscribed = False
        while True:
            try:
                async with self._subscribed() as stream:
                    _log.info("subscribed to %s", self._settings.endpoint)
                    subscribed, backoff_s = True, _FIRST_BACKOFF_S
                    await self._exchange(stream, events)
            except* (_Broken, OSError, trio.BrokenResourceError, trio.TooSlowError) as broken:
                _log.warning("no connection to the agent: %s", "; ".join(map(str, broken.exceptions)))
            now = trio.current_time()
            if subscribed:
                alone_since, subscribed = now, False
                if not self._settings.checkpoint:
                    raise AgentGone("the connection to the agent broke, and without checkpointing it is not remade")
            if now - alone_since > self._settings.recovery_timeout_s:
                raise AgentGone(f"no agent for {self._settings.recovery_timeout_s:g} s")
            await trio.sleep(self._rng.uniform(backoff_s / 2, backoff_s))
            backoff_s = min(backoff_s * 2, self._settings.backoff_max_s, _LONGEST_BACKOFF_S)

    @asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[_Http]:
        """A stream of events. Raises `AgentGone`, `_Broken` or `OSError`."""
        subscribe = api.Subscribe(tuple(self._tasks.values()), tuple(self._updates.values()))
        self._unsent.clear()
        async with _Http.to(self._settings) as http:
            with trio.fail_after(CALL_TIMEOUT_S):
                status = await http.post(self._call("SUBSCRIBE", subscribe=subscribe))
            if status == 200:
                yield http
            elif status in (404, 503):  # an agent that is starting answers so
                raise _Broken(f"SUBSCRIBE was answered {status}")
            else:
                raise AgentGone(f"the agent answered SUBSCRIBE with {status}: {await http.text()}")

    async def _exchange(self, stream: _Http, events: trio.MemorySendChannel[api.Event]) -> None:
        """Until the stream or a call breaks, which is always an exception."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_updates)
            records = api.records()
            while data := await stream.read():
                try:
                    for event in records.feed(data):
                        self._heed(event)
                        await events.send(event)
                except ValueError as error:
                    raise _Broken(f"what the agent sends makes no sense: {error}") from None
            raise _Broken("the agent ended the stream")

    def _heed(self, event: api.Event) -> None:
        if event.acknowledged is not None:
            self._updates.pop(event.acknowledged.uuid, None)
            self._tasks.pop(event.acknowledged.task_id.value, None)
            self._wake()
        elif event.launch is not None:
            task = msgspec.json.decode(event.launch.task, type=api.LaunchedTask)
            self._tasks[task.task_id.value] = event.launch.task
        elif event.error is not None:
            raise _Broken(f"the agent reports an error: {event.error.message}")

    async def _send_updates(self) -> None:
        """Each update once per subscription, in order; on a connection of its own, as the API wants it."""
        while True:
            while not self._unsent:
                await self._changed.wait()
            with trio.fail_after(CALL_TIMEOUT_S):
                async with _Http.to(self._settings) as http:
                    while self._unsent and http.takes_more:
                        status = await http.post(self._call("UPDATE", update=self._updates[self._unsent.pop(0)]))
                        if status != 202:
                            raise _Broken(f"UPDATE was answered {status}: {await http.text()}")
                        await http.text()

    def _call(self, kind: str, **fields: api.Subscribe | api.Update) -> bytes:
        call = api.Call(kind, api.Id(self._settings.framework_id), api.Id(self._settings.executor_id))
        return msgspec.json.encode(msgspec.structs.replace(call, **fields))

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class _Http:
    """One connection to the agent; requests one after the other."""

    def __init__(self, stream: trio.SocketStream, settings: Settings) -> None:
        self._stream = stream
        self._settings = settings
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    @asynccontextmanager
    async def to(cls, settings: Settings) -> AsyncIterator[_Http]:
        async with await api.connect(settings.endpoint) as stream:
            yield cls(stream, settings)

    @property
    def takes_more(self) -> bool:
        """Whether another request may follow: not where an answer said that it was the last."""
        return self._http.our_state in (h11.IDLE, h11.DONE)

    async def post(self, body: bytes) -> int:
        """The status of the answer. Its body must be read, by `text` or `read`, before the next request."""
        if self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        headers = [
            ("host", "agent" if self._settings.endpoint.startswith(api.UNIX) else self._settings.endpoint),
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("content-length", str(len(body))),
        ]
        if self._settings.token is not None:
            headers.append(("authorization", f"Bearer {self._settings.token}"))
        request = h11.Request(method="POST", target=api.PATH, headers=headers)
        events: list[h11.Event] = [request, h11.Data(body), h11.EndOfMessage()]
        await self._stream.send_all(b"".join(self._http.send(event) or b"" for event in events))
        response = await self._next()
        if not isinstance(response, h11.Response):
            raise _Broken("the agent closed the connection without an answer")
        return response.status_code

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end."""
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def text(self) -> str:
        """All of a short body."""
        parts = []
        while part := await self.read():
            parts.append(part)
        return b"".join(parts).decode(errors="replace")

    async def _next(self) -> h11.Event:
        try:
            while not isinstance(event := self._http.next_event(), h11.Event):
                self._http.receive_data(await self._stream.receive_some(_READ_BYTES))
        except h11.RemoteProtocolError as error:
            raise _Broken(f"the agent does not speak HTTP: {error}") from None
        return event
