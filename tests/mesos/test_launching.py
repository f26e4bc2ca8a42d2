"""What a real master makes of our tasks: reserved resources, ports, labels and discovery."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from aurorad.engine.base import Offer, Resource
from aurorad.rules import resources
from aurorad.rules.resources import ResourceType
from tests.mesos.framework import framework
from tests.mesos.rig import Rig
from tests.mesos.workers import mesos_workers

pytestmark = pytest.mark.real_mesos

CPUS, RAM, PORTS = ResourceType.CPUS, ResourceType.RAM_MB, ResourceType.PORTS


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    reserved = "cpus(aurora):1;cpus:3;mem:2048;disk:4096;ports:[31000-31009]"
    with mesos_workers(f"--agent-flag=resources={reserved}", observed=False) as made:
        yield made.rig


def reserve(rig: Rig, agent_id: str, mem: float) -> None:
    """For the role, as an operator does."""
    one = {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}}
    reservations = [{"type": "DYNAMIC", "role": "aurora", "principal": "operator"}]
    what = {"agent_id": {"value": agent_id}, "resources": [{**one, "reservations": reservations}]}
    rig.call({"type": "RESERVE_RESOURCES", "reserve_resources": what})


def agents(rig: Rig) -> list[str]:
    return [agent["id"] for agent in json.loads(rig.get("/slaves"))["slaves"]]


def task_at(rig: Rig, task_id: str) -> dict[str, Any]:
    (framework,) = (one for one in json.loads(rig.get("/state"))["frameworks"] if one["role"] == "aurora")
    (found,) = (task for task in framework["tasks"] if task["id"] == task_id)
    return dict(found)


async def test_a_task_takes_reserved_resources_first_and_is_known_by_its_names(rig: Rig) -> None:
    for agent_id in agents(rig):
        reserve(rig, agent_id, 96)
    executor = rig.folder / "thermos_executor"
    async with framework(rig, executor, role="aurora") as it:
        offer = await it.offer(is_reserved)
        ports = resources.pick_ports(offer.resources, ("http", "admin"), random.Random(1))
        task, left = resources.take(offer.resources, {CPUS: 2, RAM: 64, PORTS: 2}, ports.values(), revocable=False)
        overhead, _ = resources.take(left, {CPUS: 0.25, RAM: 64}, (), revocable=False)
        assert [(r.scalar, r.role) for r in task if r.name == "cpus"] == [(1.0, "aurora"), (1.0, "*")]
        assert [(r.scalar, r.role) for r in overhead if r.name == "mem"] == [(32.0, "aurora"), (32.0, "*")]
        launched = await it.launch_on(offer, (task, overhead), "sleep 1000", ports)
        told = task_at(rig, launched.id)
    assert told["name"] == "www-data/test/job"
    assert told["executor_id"] == f"thermos-{launched.id}"
    assert (told["resources"]["cpus"], told["resources"]["mem"]) == (2.0, 64.0)
    assert told["discovery"]["name"] == "job.test.www-data"
    assert told["discovery"]["location"] == "cluster-1"
    assert {port["name"]: port["number"] for port in told["discovery"]["ports"]["ports"]} == ports


async def test_an_operators_executor_is_started_as_it_is_written(rig: Rig) -> None:
    """It is ours, under another name; what Mesos has and we never look at gets there, too."""
    variables = [{"name": "COLOR", "type": "VALUE", "value": "blue"}]
    mine = {
        "name": "mine",
        "command": {
            "value": "exec ./thermos_executor --preserve_env",
            "shell": "true",
            "uris": [{"value": str(rig.folder / "thermos_executor"), "executable": True, "extract": False}],
            "environment": {"variables": variables},
        },
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
        "labels": {"labels": [{"key": "owner", "value": "us"}]},
        "shutdown_grace_period": {"nanoseconds": 3_000_000_000},
    }
    file = json.dumps([{"executor": mine, "task_prefix": "mine-"}])
    async with framework(rig, rig.folder / "thermos_executor", others=file) as it:
        offer = await it.offer()
        task, left = resources.take(offer.resources, {CPUS: 0.1, RAM: 32}, (), revocable=False)
        overhead, _ = resources.take(left, {CPUS: 0.1, RAM: 32}, (), revocable=False)
        launched = await it.launch_on(offer, (task, overhead), "echo $COLOR > color; sleep 1000", executor="mine")
        assert await launched.wrote("color") == "blue\n"
        assert launched.directory.parent.parent.name == f"mine-{launched.id}"


def is_reserved(offer: Offer) -> bool:
    def is_ours(resource: Resource) -> bool:
        return resource.name == "mem" and resource.role == "aurora" and resource.reservation is not None

    return any(map(is_ours, offer.resources))
