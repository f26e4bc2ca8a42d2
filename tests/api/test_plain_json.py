"""Structs as webhooks tell them."""

from __future__ import annotations

import msgspec
import pytest
from frozendict import frozendict

from aurorad.api.enums import ScheduleStatus
from aurorad.api.plain_json import plain
from aurorad.api.tasks import (
    AssignedTask,
    Constraint,
    Container,
    JobKey,
    LimitConstraint,
    MesosContainer,
    Resource,
    ScheduledTask,
    TaskConfig,
    TaskConstraint,
    TaskEvent,
)


def test_a_task_is_told_as_it_always_was() -> None:
    config = TaskConfig(
        job=JobKey("www", "prod", "web"),
        resources=frozenset({Resource(ram_mb=8), Resource(num_cpus=0.5)}),
        constraints=frozenset({Constraint("host", TaskConstraint(limit=LimitConstraint(1)))}),
        container=Container(mesos=MesosContainer()),
    )
    assigned = AssignedTask("id", None, "host-1", config, frozendict(http=31000), 3)
    task = ScheduledTask(assigned, ScheduleStatus.LOST, task_events=(TaskEvent(5, ScheduleStatus.LOST, None, "me"),))
    told = msgspec.json.decode(msgspec.json.encode(plain(task)))
    assert told["status"] == "LOST"
    assert told["taskEvents"] == [{"timestamp": 5, "status": "LOST", "scheduler": "me"}]
    assert (told["failureCount"], told["timesPartitioned"], "ancestorId" in told) == (0, 0, False)
    place = told["assignedTask"]
    assert (place["assignedPorts"], place["instanceId"], "slaveId" in place) == ({"http": 31000}, 3, False)
    inner = place["task"]
    assert inner["job"] == {"role": "www", "environment": "prod", "name": "web"}
    assert inner["resources"] == [{"setField": "NUM_CPUS", "value": 0.5}, {"setField": "RAM_MB", "value": 8}]
    assert inner["constraints"] == [{"name": "host", "constraint": {"setField": "LIMIT", "value": {"limit": 1}}}]
    assert inner["container"] == {"setField": "MESOS", "value": {"volumes": []}}
    assert inner["metadata"] == []


def test_an_empty_union_and_what_is_no_value() -> None:
    assert plain(Resource()) == {}
    with pytest.raises(TypeError, match="object has no form in JSON"):
        plain(object())
