"""TSimpleJSON against Apache's library."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from frozendict import frozendict
from thrift.protocol.TJSONProtocol import TSimpleJSONProtocol
from thrift.transport.TTransport import TMemoryBuffer

from aurorad.api import simple_json
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    Constraint,
    CountSlaPolicy,
    ExecutorConfig,
    Identity,
    JobKey,
    LimitConstraint,
    Metadata,
    Resource,
    ScheduledTask,
    SlaPolicy,
    TaskConfig,
    TaskConstraint,
    TaskEvent,
    ValueConstraint,
)
from tests.api.apache import Apache

CONFIG = TaskConfig(
    JobKey("r", "e", "j"),
    owner=Identity("alice"),
    is_service=True,
    priority=-5,
    resources=frozenset({Resource(num_cpus=1.5), Resource(ram_mb=64), Resource(named_port="http")}),
    constraints=frozenset(
        {
            Constraint("rack", TaskConstraint(value=ValueConstraint(True, frozenset({"a", "b"})))),
            Constraint("host", TaskConstraint(limit=LimitConstraint(1))),
        }
    ),
    task_links=frozendict(http="http://%host%"),
    metadata=frozenset({Metadata("key", 'väl"ue')}),
    executor_config=ExecutorConfig("AuroraExecutor", '{"a": 1}'),
    sla_policy=SlaPolicy(count_sla_policy=CountSlaPolicy(3, 60)),
)
TASK = ScheduledTask(
    AssignedTask("id", "agent", "host", CONFIG, frozendict(http=31000), 7),
    ScheduleStatus.RUNNING,
    task_events=(TaskEvent(5, ScheduleStatus.PENDING), TaskEvent(6, ScheduleStatus.RUNNING, "up", "scheduler")),
)


def in_order(value: Any) -> Any:
    """Sets have none."""
    if isinstance(value, dict):
        return {key: in_order(member) for key, member in value.items()}
    if isinstance(value, list):
        return sorted((in_order(member) for member in value), key=json.dumps)
    return value


def test_it_is_what_apaches_library_writes(apache: Apache) -> None:
    for task in (TASK, ScheduledTask()):
        buffer = TMemoryBuffer()
        apache.theirs(task).write(TSimpleJSONProtocol(buffer))
        ours = json.loads(msgspec.json.encode(simple_json.to_json(task)))
        assert in_order(ours) == in_order(json.loads(buffer.getvalue()))


def test_names_are_the_idls_and_what_is_unset_is_left_out() -> None:
    made = simple_json.to_json(TASK)
    assert made["status"] == 2
    assert made["taskEvents"][0] == {"timestamp": 5, "status": 0}
    assert "ancestorId" not in made
    config = made["assignedTask"]["task"]
    assert (config["isService"], config["production"]) == (1, 0)
    assert config["slaPolicy"] == {"countSlaPolicy": {"count": 3, "durationSecs": 60}}
