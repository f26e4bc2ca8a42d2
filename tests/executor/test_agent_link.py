import dataclasses
import math
import random

import pytest
import trio

from aurorad.engine import executor_api as api
from aurorad.engine.base import TaskState
from aurorad.engine.local.server import Refusal
from executor.agent_link import AgentGone, AgentLink, BadEnvironment, Settings
from tests.executor.agent import LIMIT_S, TOKEN, Agent, agent_on_tcp

STARTING, RUNNING, FINISHED = TaskState.TASK_STARTING, TaskState.TASK_RUNNING, TaskState.TASK_FINISHED
ENVIRONMENT = {"MESOS_FRAMEWORK_ID": "f-1", "MESOS_EXECUTOR_ID": "e-1", "MESOS_AGENT_ENDPOINT": "10.0.0.1:5051"}


def settings_for(agent: Agent) -> Settings:
    return Settings("f-1", "e-1", agent.endpoint, TOKEN, checkpoint=True, backoff_max_s=0.1)


def link_to(settings: Settings) -> AgentLink:
    return AgentLink(settings, lambda: 1_500_000_000_500, random.Random(1))


class Linked:
    """A link that runs; what it passes on."""

    def __init__(self, settings: Settings, nursery: trio.Nursery) -> None:
        self.link = link_to(settings)
        send, self._events = trio.open_memory_channel[api.Event](math.inf)
        nursery.start_soon(self.link.run, send)

    async def event(self, kind: str) -> api.Event:
        """The next event of this kind."""
        with trio.fail_after(LIMIT_S):
            async for event in self._events:
                if event.type == kind:
                    return event
        raise AssertionError("the link ended")


def states(updates: tuple[api.Update, ...]) -> list[TaskState]:
    return [update.status.state for update in updates]


async def test_updates_go_out_in_order_and_are_forgotten_when_acknowledged() -> None:
    async with agent_on_tcp() as (agent, nursery):
        linked = Linked(settings_for(agent), nursery)
        await linked.event("SUBSCRIBED")
        assert await agent.subscribed() == api.Subscribe()
        for state in (STARTING, RUNNING, FINISHED):
            linked.link.update("t-1", state, "text")
        assert [await agent.updated() for _ in range(3)] == [
            ("t-1", STARTING, "text"),
            ("t-1", RUNNING, "text"),
            ("t-1", FINISHED, "text"),
        ]
        with trio.fail_after(LIMIT_S):
            await linked.link.settled()


async def test_an_update_says_when_and_from_whom() -> None:
    async with agent_on_tcp() as (agent, nursery):
        linked = Linked(settings_for(agent), nursery)
        await agent.subscribed()
        linked.link.update("t-1", RUNNING, None)
        call = await agent.call()
        assert (call.framework_id, call.executor_id) == (api.Id("f-1"), api.Id("e-1"))
        assert call.update is not None
        status = call.update.status
        assert (status.source, status.timestamp, status.executor_id) == (
            "SOURCE_EXECUTOR",
            1_500_000_000.5,
            api.Id("e-1"),
        )
        assert status.uuid is not None
        assert len(status.uuid) == 16


async def test_what_was_not_acknowledged_is_told_when_subscribing_again() -> None:
    async with agent_on_tcp() as (agent, nursery):
        agent.acknowledging = False
        linked = Linked(settings_for(agent), nursery)
        await agent.subscribed()
        agent.launch("t-1")
        await linked.event("LAUNCH")
        linked.link.update("t-1", STARTING, None)
        linked.link.update("t-1", RUNNING, None)
        await agent.updated()
        await agent.updated()
        agent.acknowledging = True
        agent.cut()
        again = await agent.subscribed()
        assert states(again.unacknowledged_updates) == [STARTING, RUNNING]
        assert len(again.unacknowledged_tasks) == 1
        assert b'"t-1"' in bytes(again.unacknowledged_tasks[0])
        with trio.fail_after(LIMIT_S):
            await linked.link.settled()
        agent.cut()
        assert await agent.subscribed() == api.Subscribe()


async def test_an_update_made_while_there_is_no_agent_reaches_the_next() -> None:
    async with agent_on_tcp() as (agent, nursery):
        agent.refuse = Refusal(503, "Agent has not finished recovery")
        linked = Linked(settings_for(agent), nursery)
        await agent.subscribed()
        linked.link.update("t-1", FINISHED, None)
        agent.refuse = None
        while not (told := await agent.subscribed()).unacknowledged_updates:
            pass  # it may have asked before the update
        assert states(told.unacknowledged_updates) == [FINISHED]
        with trio.fail_after(LIMIT_S):
            await linked.link.settled()


async def test_an_update_that_is_refused_for_now_is_told_again() -> None:
    async with agent_on_tcp() as (agent, nursery):
        linked = Linked(settings_for(agent), nursery)
        await agent.subscribed()
        await linked.event("SUBSCRIBED")
        agent.refuse = Refusal(503, "the disk is full")
        linked.link.update("t-1", RUNNING, None)
        await agent.updated()
        agent.refuse = None
        assert states((await agent.subscribed()).unacknowledged_updates) == [RUNNING]


async def test_after_an_error_it_subscribes_again() -> None:
    async with agent_on_tcp() as (agent, nursery):
        linked = Linked(settings_for(agent), nursery)
        await agent.subscribed()
        linked.link.update("t-1", RUNNING, None)
        agent.tell(api.Event("ERROR", error=api.Error("try again")))
        call = await agent.call()
        assert (call if call.subscribe is not None else await agent.call()).subscribe is not None
        with trio.fail_after(LIMIT_S):
            await linked.link.settled()


async def test_waits_between_attempts_grow_to_their_maximum(autojump_clock: trio.testing.MockClock) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    endpoint = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    await listener.aclose()
    settings = Settings("f-1", "e-1", endpoint, checkpoint=True, backoff_max_s=8.0, recovery_timeout_s=1000)
    waits: list[float] = []

    class Random(random.Random):
        def uniform(self, a: float, b: float) -> float:
            waits.append(b)
            return b

    send, _ = trio.open_memory_channel[api.Event](0)
    with trio.move_on_after(60):
        await AgentLink(settings, lambda: 0, Random()).run(send)
    assert waits[:3] == [0.05, 0.1, 0.2]
    assert max(waits) == 0.5  # an agent that is back waits for two seconds
    assert waits == sorted(waits)


async def gone(settings: Settings) -> str:
    send, _receive = trio.open_memory_channel[api.Event](math.inf)
    with trio.fail_after(LIMIT_S), pytest.raises(AgentGone) as caught:
        await link_to(settings).run(send)
    return str(caught.value)


async def test_an_agent_that_does_not_know_us_is_not_asked_again() -> None:
    async with agent_on_tcp() as (agent, _):
        agent.refuse = Refusal(401, "who?")
        assert await gone(settings_for(agent)) == "the agent answered SUBSCRIBE with 401: who?"


async def test_without_checkpointing_the_first_cut_is_the_end() -> None:
    async with agent_on_tcp() as (agent, nursery):

        async def cut_soon() -> None:
            await agent.subscribed()
            agent.cut()

        nursery.start_soon(cut_soon)
        settings = dataclasses.replace(settings_for(agent), checkpoint=False)
        assert "without checkpointing" in await gone(settings)


async def test_an_agent_that_stays_away_is_given_up() -> None:
    async with agent_on_tcp() as (agent, _):
        settings = settings_for(agent)
    settings = dataclasses.replace(settings, recovery_timeout_s=0.2)
    assert await gone(settings) == "no agent for 0.2 s"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n1\n\r\n",
        b"",
    ],
)
async def test_an_agent_that_makes_no_sense_is_tried_again(answer: bytes) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    settings = Settings("f-1", "e-1", f"127.0.0.1:{listener.socket.getsockname()[1]}", checkpoint=True)
    async with listener, trio.open_nursery() as nursery:
        Linked(settings, nursery)
        for _ in range(2):
            with trio.fail_after(LIMIT_S):
                async with await listener.accept() as stream:
                    await stream.receive_some()
                    await stream.send_all(answer)
        nursery.cancel_scope.cancel()


async def test_an_agent_may_close_the_connection_after_each_update() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    settings = Settings("f-1", "e-1", f"127.0.0.1:{listener.socket.getsockname()[1]}", checkpoint=True)
    async with listener, trio.open_nursery() as nursery:
        link = link_to(settings)
        send, events = trio.open_memory_channel[api.Event](math.inf)
        nursery.start_soon(link.run, send)
        with trio.fail_after(LIMIT_S):
            async with await listener.accept() as subscription:
                await subscription.receive_some()
                body = api.record(api.Event("SUBSCRIBED"))
                await subscription.send_all(
                    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body)
                )
                await events.receive()
                link.update("t-1", STARTING, None)
                link.update("t-1", RUNNING, None)
                for state in (STARTING, RUNNING):
                    async with await listener.accept() as stream:
                        assert state.value.encode() in await stream.receive_some()
                        await stream.send_all(
                            b"HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                        )
        nursery.cancel_scope.cancel()


def test_the_environment_of_an_agent_is_understood() -> None:
    more = {
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "x",
        "MESOS_CHECKPOINT": "1",
        "MESOS_RECOVERY_TIMEOUT": "1.5mins",
        "MESOS_SUBSCRIPTION_BACKOFF_MAX": "250ms",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "30secs",
    }
    assert Settings.read(ENVIRONMENT) == Settings("f-1", "e-1", "10.0.0.1:5051", None, False, 900.0, 2.0, 5.0)
    assert Settings.read({**ENVIRONMENT, **more}) == Settings(
        "f-1", "e-1", "10.0.0.1:5051", "x", True, 90.0, 0.25, 30.0
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MESOS_RECOVERY_TIMEOUT": "soon"}, "MESOS_RECOVERY_TIMEOUT=soon: a duration such as 15mins was expected"),
        ({}, "MESOS_AGENT_ENDPOINT is not set: an executor is started by an agent, which sets it"),
    ],
)
def test_an_environment_of_no_agent_is_refused(change: dict[str, str], message: str) -> None:
    environment = ENVIRONMENT if change else {k: v for k, v in ENVIRONMENT.items() if k != "MESOS_AGENT_ENDPOINT"}
    with pytest.raises(BadEnvironment) as caught:
        Settings.read({**environment, **change})
    assert str(caught.value) == message
