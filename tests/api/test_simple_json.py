"""TSimpleJSON against Apache's library."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, assume, given, settings
from thrift.protocol.TJSONProtocol import TSimpleJSONProtocol
from thrift.transport.TTransport import TMemoryBuffer

from aurorad.api import simple_json
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobKey, Resource, ScheduledTask, TaskConfig, TaskEvent
from tests.api.apache import Apache
from tests.api.values import any_struct


def in_order(value: Any) -> Any:
    """Sets have none."""
    if isinstance(value, dict):
        return {key: in_order(member) for key, member in value.items()}
    if isinstance(value, list):
        return sorted((in_order(member) for member in value), key=json.dumps)
    return value


@settings(max_examples=5, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
@given(any_struct(ScheduledTask))
def test_it_is_what_apaches_library_writes(apache: Apache, task: ScheduledTask) -> None:
    buffer = TMemoryBuffer()
    apache.theirs(task).write(TSimpleJSONProtocol(buffer))
    try:
        theirs = json.loads(buffer.getvalue())
    except ValueError:  # its library writes numbers that JSON does not have
        assume(False)
    ours = json.loads(msgspec.json.encode(simple_json.to_json(task)))
    assume("NaN" not in json.dumps(theirs) and "Infinity" not in json.dumps(theirs))
    assert in_order(ours) == in_order(theirs)


def test_names_are_the_idls_and_what_is_unset_is_left_out() -> None:
    task = ScheduledTask(
        AssignedTask(
            "id", task=TaskConfig(JobKey("r", "e", "j"), is_service=True, resources=frozenset({Resource(1.5)}))
        ),
        ScheduleStatus.RUNNING,
        task_events=(TaskEvent(5, ScheduleStatus.PENDING),),
    )
    made = simple_json.to_json(task)
    assert made["status"] == 2
    assert made["taskEvents"] == [{"timestamp": 5, "status": 0}]
    assert "ancestorId" not in made
    config = made["assignedTask"]["task"]
    assert (config["isService"], config["production"]) == (1, 0)
    assert config["resources"] == [{"numCpus": 1.5}]
    assert config["job"] == {"role": "r", "environment": "e", "name": "j"}
