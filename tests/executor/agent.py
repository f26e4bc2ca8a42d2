"""An agent for tests of the executor's side: takes calls, and sends the events it is told to."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import trio

from aurorad.api import binary
from aurorad.api.tasks import AssignedTask
from aurorad.engine import executor_api as api
from aurorad.engine.base import TaskState
from aurorad.engine.local import server
from aurorad.engine.local.server import Refusal, Subscription

LIMIT_S = 10.0
TOKEN = "secret"


class Agent:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.refuse: Refusal | None = None
        self.acknowledging = True
        self.subscription: Subscription | None = None
        self._send, self._calls = trio.open_memory_channel[api.Call](math.inf)

    async def accept(self, call: api.Call, token: str) -> Subscription | None:
        assert token == TOKEN
        self._send.send_nowait(call)
        if self.refuse is not None:
            raise self.refuse
        if call.type == "SUBSCRIBE":
            assert call.subscribe is not None
            self.subscription = Subscription()
            self.tell(api.Event("SUBSCRIBED"))
            for update in call.subscribe.unacknowledged_updates:
                self._acknowledge(update)
            return self.subscription
        assert call.update is not None
        self._acknowledge(call.update)
        return None

    def _acknowledge(self, update: api.Update) -> None:
        if self.acknowledging:
            assert update.status.uuid is not None
            self.tell(
                api.Event("ACKNOWLEDGED", acknowledged=api.Acknowledged(update.status.task_id, update.status.uuid))
            )

    def lost(self, call: api.Call, subscription: Subscription) -> None:
        pass

    def tell(self, event: api.Event) -> None:
        assert self.subscription is not None
        self.subscription.put(event)

    def launch(self, task_id: str, data: bytes | None = None) -> None:
        assigned = binary.encode(AssignedTask(task_id=task_id)) if data is None else data
        task = api.LaunchedTask("name", api.Id(task_id), api.Id("a-1"), assigned)
        self.tell(api.Event("LAUNCH", launch=api.Launch(msgspec.Raw(msgspec.json.encode(task)))))

    def cut(self) -> None:
        assert self.subscription is not None
        self.subscription.end()

    async def subscribed(self) -> api.Subscribe:
        """The next call, which must be SUBSCRIBE."""
        call = await self.call()
        assert call.subscribe is not None, call
        return call.subscribe

    async def updated(self) -> tuple[str, TaskState, str | None]:
        """The next call, which must be UPDATE."""
        call = await self.call()
        assert call.update is not None, call
        status = call.update.status
        return status.task_id.value, status.state, status.message

    async def call(self) -> api.Call:
        with trio.fail_after(LIMIT_S):
            return await self._calls.receive()

    async def serve(self, listener: trio.SocketListener) -> None:
        await server.serve(listener, server.Agent(self.accept, self.lost))


@asynccontextmanager
async def agent_on_tcp() -> AsyncIterator[tuple[Agent, trio.Nursery]]:
    """As a Mesos agent is reached."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    agent = Agent(f"127.0.0.1:{listener.socket.getsockname()[1]}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agent.serve, listener)
        yield agent, nursery
        nursery.cancel_scope.cancel()
