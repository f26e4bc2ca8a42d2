"""What an engine and a master go through together: with a real master, which is recorded, and with the recording.

An operator is asked for what has to be done to the cluster meanwhile; with a recording nothing needs to be done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
import pytest
import trio

from aurorad.engine.base import (
    AgentLost,
    Disconnected,
    ExecutorLost,
    InverseOffer,
    Offers,
    Registered,
    Rescind,
    StatusUpdate,
    TaskState,
)
from aurorad.engine.mesos.engine import FrameworkFailed, FrameworkRemoved
from tests.engine.mesos.session import Session, engine_at, session, task

STARTING, RUNNING, FAILED = TaskState.TASK_STARTING, TaskState.TASK_RUNNING, TaskState.TASK_FAILED
KILLED, LOST, ERROR, GONE = TaskState.TASK_KILLED, TaskState.TASK_LOST, TaskState.TASK_ERROR, TaskState.TASK_GONE

FAR_NS = 4_000_000_000_000_000_000  # in the year 2096


class Operator(Protocol):
    """Does what an operator does to a cluster of one master and one agent."""

    async def call(self, what: Mapping[str, Any]) -> None:
        """The master's operator API."""

    async def stop_agent(self) -> None: ...

    async def revive_agent(self) -> None: ...


Heard = list[Any]
Script = Callable[[str, Operator], Awaitable[Heard]]


async def the_life_of_tasks(address: str, operator: Operator) -> Heard:
    async with session(engine_at(address)) as it:
        await it.hear(Registered)
        offer = await it.offer()
        await it.engine.launch(offer.id, (task(offer, "runs"), task(offer, "fails", "exit 3")), 0.0)
        await it.state("runs", STARTING, RUNNING)
        await it.state("fails", STARTING, RUNNING, FAILED)
        await it.engine.reconcile(("runs", "fails", "unknown"))
        await it.hear(StatusUpdate, lambda update: update.task_id == "runs" and update.uuid is None)
        await it.hear(StatusUpdate, lambda update: update.task_id == "fails" and update.uuid is None)
        await it.state("unknown", LOST)
        await it.engine.kill("runs")
        await it.state("runs", KILLED)
        await it.engine.kill("unknown")
        await it.state("unknown", LOST)
        await it.engine.decline((await it.offer()).id, 0.0)
        await it.hear(Offers)
        return await it.done()


async def the_life_of_tasks_of_a_partition_aware_framework(address: str, operator: Operator) -> Heard:
    async with session(engine_at(address, partition_aware=True)) as it:
        await it.hear(Registered)
        offer = await it.offer()
        await it.engine.reconcile(("unknown",))
        await it.hear(StatusUpdate)
        await it.engine.launch("another", (task(offer, "too late"),), 0.0)
        await it.hear(StatusUpdate, lambda update: update.task_id == "too late")
        return await it.done()


async def launches_that_are_refused(address: str, operator: Operator) -> Heard:
    async with session(engine_at(address)) as it:
        await it.hear(Registered)
        offer = await it.offer()
        await it.engine.launch("another", (task(offer, "too late"),), 0.0)
        await it.state("too late", LOST)
        await it.engine.launch(offer.id, (task(offer, "a/b"), task(offer, "fits")), 0.0)
        await it.state("a/b", ERROR)  # no id may have a slash
        await it.state("fits", STARTING, RUNNING)
        await it.engine.kill("fits")
        await it.state("fits", KILLED)
        return await it.done()


async def an_executor_that_ends(address: str, operator: Operator) -> Heard:
    async with session(engine_at(address)) as it:
        await it.hear(Registered)
        offer = await it.offer()
        await it.engine.launch(offer.id, (task(offer, "one", "exit 7", executor="short"),), 0.0)
        await it.state("one", FAILED)
        await it.hear(ExecutorLost)
        return await it.done()


async def suppressing_and_reviving(address: str, operator: Operator) -> Heard:
    async with session(engine_at(address)) as it:
        await it.hear(Registered)
        await it.hear(Offers)
        await it.engine.suppress()
        await it.decline_all()
        await it.engine.revive()
        await it.hear(Offers)
        return await it.done()


async def an_agent_that_will_be_away(address: str, operator: Operator) -> Heard:
    window = {
        "machine_ids": [{"hostname": "127.0.1.0", "ip": "127.0.0.1"}],
        "unavailability": {"start": {"nanoseconds": FAR_NS}, "duration": {"nanoseconds": 3_600_000_000_000}},
    }
    schedule = "UPDATE_MAINTENANCE_SCHEDULE"
    async with session(engine_at(address)) as it:
        await it.hear(Registered)
        offer = await it.offer()
        await it.engine.launch(offer.id, (task(offer, "runs"),), 0.0)
        await it.state("runs", STARTING, RUNNING)
        await it.hear(Offers)
        await operator.call({"type": schedule, schedule.lower(): {"schedule": {"windows": [window]}}})
        await it.hear(Rescind)
        await it.hear(InverseOffer)
        offers = await it.hear(Offers, lambda made: made.offers[0].unavailability_start_ms is not None)
        assert offers.offers[0].unavailability_start_ms == FAR_NS // 1_000_000
        await operator.call({"type": schedule, schedule.lower(): {"schedule": {"windows": []}}})
        await it.engine.kill("runs")
        await it.state("runs", KILLED)
        return await it.done()


async def an_agent_that_is_lost_and_found(address: str, operator: Operator) -> Heard:
    async with session(engine_at(address)) as it:
        await it.hear(Registered)
        offer = await it.offer()
        await it.engine.launch(offer.id, (task(offer, "runs"),), 0.0)
        await it.state("runs", STARTING, RUNNING)
        await operator.stop_agent()
        await it.state("runs", LOST)
        await it.hear(AgentLost)
        await operator.revive_agent()
        await it.state("runs", RUNNING)
        await it.engine.kill("runs")
        await it.state("runs", KILLED)
        return await it.done()


async def resources_that_are_reserved(address: str, operator: Operator) -> Heard:
    reserved = {
        "name": "mem",
        "type": "SCALAR",
        "scalar": {"value": 128.0},
        "role": "web",
        "reservation": {"principal": "ops"},
    }
    async with session(engine_at(address, role="web")) as it:
        await it.hear(Registered)
        agent = {"value": (await it.offer()).agent_id}
        what = {"agent_id": agent, "resources": [reserved]}
        await operator.call({"type": "RESERVE_RESOURCES", "reserve_resources": what})
        await it.hear(Rescind)
        offer = await it.offer(lambda offer: any(resource.role == "web" for resource in offer.resources))
        (memory,) = [resource for resource in offer.resources if resource.role == "web"]
        (cpus,) = [resource for resource in offer.resources if resource.name == "cpus"]
        resources = (msgspec.structs.replace(cpus, scalar=0.1), msgspec.structs.replace(memory, scalar=32.0))
        info = task(offer, "reserved")
        await it.engine.launch(offer.id, (msgspec.structs.replace(info, resources=resources),), 0.0)
        await it.state("reserved", STARTING, RUNNING)
        await it.engine.kill("reserved")
        await it.state("reserved", KILLED)
        await operator.call({"type": "UNRESERVE_RESOURCES", "unreserve_resources": what})
        return await it.done()


async def another_takes_the_framework_over(address: str, operator: Operator) -> Heard:
    first = Session(engine_at(address))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_failing, first, FrameworkFailed, "Framework failed over")
        await first.hear(Registered)
        async with session(engine_at(address), first.framework_id) as second:
            await second.hear(Registered)
            await _left(nursery)
            return [*first.heard, *await second.done()]


async def the_framework_is_removed(address: str, operator: Operator) -> Heard:
    it = Session(engine_at(address))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_failing, it, FrameworkRemoved, "Framework has been removed")
        await it.hear(Registered)
        await operator.call({"type": "TEARDOWN", "teardown": {"framework_id": {"value": it.framework_id}}})
        await it.hear(Disconnected)
    return it.heard


async def _failing(it: Session, how: type[FrameworkFailed], text: str) -> None:
    with pytest.raises(how, match=text):
        await it.engine.run(it.send, None)


async def _left(nursery: trio.Nursery) -> None:
    """Wait until all in the nursery are gone."""
    while nursery.child_tasks:  # noqa: ASYNC110
        await trio.sleep(0.01)


SCRIPTS: Mapping[str, Script] = {
    script.__name__: script
    for script in (
        the_life_of_tasks,
        the_life_of_tasks_of_a_partition_aware_framework,
        launches_that_are_refused,
        an_executor_that_ends,
        suppressing_and_reviving,
        an_agent_that_will_be_away,
        an_agent_that_is_lost_and_found,
        resources_that_are_reserved,
        another_takes_the_framework_over,
        the_framework_is_removed,
    )
}
