"""A simulated cluster can be told over HTTP what happens to it."""

from __future__ import annotations

import pytest
from quart_trio import QuartTrio

from aurorad.engine.base import AgentLost, InverseOffer, Rescind, Resource, StatusUpdate, TaskState
from aurorad.engine.simulated.agents import agent
from aurorad.engine.simulated.cluster import Cluster
from aurorad.engine.simulated.engine import SimulatedEngine
from aurorad.engine.simulated.hosts import Amounts
from aurorad.web.simulation import simulation_endpoints


class World:
    def __init__(self) -> None:
        self.cluster = Cluster([agent("a", "h")])
        self.cluster.adopt(0, "t", "a", Amounts.of((Resource("cpus", 1.0),)), "www.prod.web.0")
        self.cluster.connect(0)
        self.cluster.advance(0)
        app = QuartTrio(__name__, static_folder=None)
        app.register_blueprint(simulation_endpoints(SimulatedEngine(self.cluster), lambda: 1000))
        self._client = app.test_client()

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        answer = await self._client.get(path, headers=headers)
        return answer.status_code, str(await answer.get_data(as_text=True))


async def test_a_status_is_the_tasks_own() -> None:
    world = World()
    path = "/status?id=t&state=TASK_FAILED&message=exit%201&reason=REASON_X&account=true&agent=a"
    assert await world.get(path) == (200, "OK\n")
    assert world.cluster.tasks["t"].state is TaskState.TASK_FAILED
    (event,) = world.cluster.advance(1)
    assert isinstance(event, StatusUpdate)
    assert (event.task_id, event.message, event.reason, event.agent_id) == ("t", "exit 1", "REASON_X", "a")


async def test_a_status_that_is_only_said_changes_nothing_and_may_be_of_any_task() -> None:
    world = World()
    assert (await world.get("/status?id=t&state=TASK_LOST&account=false"))[0] == 200
    assert (await world.get("/status?id=other&state=TASK_RUNNING&account=false&agent=a"))[0] == 200
    assert world.cluster.tasks["t"].state is TaskState.TASK_RUNNING
    told = [event for event in world.cluster.advance(1) if isinstance(event, StatusUpdate)]
    assert [(event.task_id, event.agent_id) for event in told] == [("t", "a"), ("other", "a")]


async def test_an_agent_is_removed() -> None:
    world = World()
    assert await world.get("/agent_remove?id=a") == (200, "OK\n")
    rescinded, lost, gone = world.cluster.advance(1)
    assert isinstance(rescinded, Rescind)
    assert isinstance(lost, StatusUpdate)
    assert gone == AgentLost("a")


async def test_an_agent_is_cut_off_and_comes_back() -> None:
    world = World()
    assert (await world.get("/agent_cut_off?id=a"))[0] == 200
    assert not world.cluster.agents["a"].is_reachable
    assert (await world.get("/agent_reach?id=a"))[0] == 200
    assert world.cluster.agents["a"].is_reachable


async def test_an_agent_will_be_unavailable() -> None:
    world = World()
    assert (await world.get("/agent_unavailable?id=a&in=2mins"))[0] == 200
    assert world.cluster.agents["a"].unavailability_start_ms == 121_000
    assert InverseOffer("inverse-a", "h", 121_000) in world.cluster.advance(1)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/status?state=TASK_LOST", "id is missing"),
        ("/status?id=&state=TASK_LOST", "id is missing"),
        ("/status?id=t", "state is missing"),
        ("/status?id=t&state=LOST", "state=LOST: one of TASK_STAGING, "),
        ("/status?id=t&state=TASK_LOST&account=no", "account=no: true or false was expected"),
        ("/status?id=t&state=TASK_LOST&agent=x", "there is no agent x"),
        ("/status?id=t&state=TASK_LOST&host=x", "unknown parameter host: account, agent, id, message, reason, state"),
        ("/status?id=t&id=u&state=TASK_LOST", "id was given twice: once was expected"),
        ("/agent_unavailable?id=a", "in is missing"),
        ("/agent_unavailable?id=x&in=1mins", "there is no agent x"),
        ("/agent_unavailable?id=a&in=soon", "in=soon: a duration such as 10secs or 1mins, in one of ns, us, ms, secs"),
        ("/agent_remove", "id is missing"),
        ("/agent_remove?id=x", "there is no agent x"),
        ("/agent_remove?id=a&now=1", "unknown parameter now: id can be given"),
    ],
)
async def test_bad_input_is_told(path: str, reason: str) -> None:
    world = World()
    status, text = await world.get(path)
    assert (status, text[: len(reason)]) == (400, reason)
    assert world.cluster.advance(1) == []


async def test_a_page_from_elsewhere_may_not() -> None:
    world = World()
    status, _ = await world.get("/agent_remove?id=a", **{"Sec-Fetch-Site": "cross-site"})
    assert status == 403
    assert "a" in world.cluster.agents
