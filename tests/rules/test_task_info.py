from __future__ import annotations

import msgspec
import pytest
from frozendict import frozendict

from aurorad.api import binary
from aurorad.api.tasks import AssignedTask, Metadata, TaskConfig
from aurorad.engine.base import Resource, TaskInfo
from aurorad.rules import executors
from aurorad.rules.task_info import task_info, template_of
from tests.rules.values import TASK

OWN, OVERHEAD = (Resource("cpus", 0.5), Resource("mem", 64.0)), (Resource("cpus", 0.25),)


def info_of(config: TaskConfig, ports: frozendict[str, int] = frozendict()) -> tuple[AssignedTask, TaskInfo]:
    assigned = AssignedTask("web-prod-site-7-ü", "agent-1", "host-1.example.org", config, ports, 7)
    return assigned, task_info(template_of(config, executors.BUILT_IN), assigned, "agent-1", OWN, OVERHEAD)


@pytest.mark.parametrize("ports", [{}, {"http": 31000}, {"http": 31000, "verwaltungsgebäude": 65535}])
def test_the_executor_is_given_the_assigned_task(ports: dict[str, int]) -> None:
    assigned, info = info_of(TASK, frozendict(ports))
    assert info.data == binary.encode(assigned)
    assert binary.decode(AssignedTask, info.data) == assigned


def test_names_are_made_of_job_and_instance() -> None:
    _, info = info_of(TASK)
    assert info.task_id == "web-prod-site-7-ü"
    assert info.executor_id == "thermos-web-prod-site-7-ü"
    assert info.name == "web/prod/site"
    assert info.source == "web.prod.site.7"
    assert (info.resources, info.executor_resources) == (OWN, OVERHEAD)


def test_labels_tell_tier_and_metadata() -> None:
    config = msgspec.structs.replace(TASK, metadata=frozenset({Metadata("b", "2"), Metadata("a", "1")}))
    assert info_of(config)[1].labels == (
        ("org.apache.aurora.tier", "preemptible"),
        ("org.apache.aurora.metadata.a", "1"),
        ("org.apache.aurora.metadata.b", "2"),
    )


def test_a_task_without_an_executor_is_told_nothing() -> None:
    _, info = info_of(msgspec.structs.replace(TASK, executor_config=None))
    assert info.executor_id == ""
    assert info.data == b""
