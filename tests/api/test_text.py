from __future__ import annotations

import pytest
from frozendict import frozendict

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import (
    AssignedTask,
    Constraint,
    Container,
    DockerContainer,
    HostAttributes,
    JobConfiguration,
    JobKey,
    Resource,
    ResourceAggregate,
    TaskEvent,
    TaskQuery,
)
from aurorad.api.text import render, thrift_text
from aurorad.api.updates import JobUpdateKey

KEY = JobKey("R", "E", "N")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (KEY, "IJobKey{role=R, environment=E, name=N}"),
        (JobUpdateKey(KEY, "ID"), "IJobUpdateKey{job=IJobKey{role=R, environment=E, name=N}, id=ID}"),
        (Resource(num_cpus=1.0), "IResource{setField=NUM_CPUS, value=1.0}"),
        (Resource(), "IResource{}"),
        (
            ResourceAggregate(frozenset({Resource(ram_mb=5)})),
            "IResourceAggregate{resources=[IResource{setField=RAM_MB, value=5}]}",
        ),
        (TaskEvent(1, ScheduleStatus.LOST), "ITaskEvent{timestamp=1, status=LOST, message=null, scheduler=null}"),
        (HostAttributes("h").mode, "null"),
        (True, "true"),
        (frozendict({"a": 1}), "{a=1}"),
    ],
)
def test_values_print_as_in_the_originals_messages(value: object, text: str) -> None:
    assert render(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            TaskQuery(role="www", statuses=frozenset({ScheduleStatus.PENDING})),
            "TaskQuery(role:www, statuses:[PENDING])",
        ),
        (TaskQuery(slave_hosts=frozenset({"host-1"})), "TaskQuery(slaveHosts:[host-1])"),
        (TaskQuery(), "TaskQuery()"),
        (Container(docker=DockerContainer("img")), "<Container docker:DockerContainer(image:img)>"),
        (Constraint("rack"), "Constraint(name:rack, constraint:null)"),
    ],
)
def test_values_print_as_thrift_prints_them(value: object, text: str) -> None:
    assert thrift_text(value) == text


def test_fields_inside_fields_print_the_same_way() -> None:
    assert "key:JobKey(role:R, environment:E, name:N), owner:null" in thrift_text(JobConfiguration(KEY))
    assert "assignedPorts:{http:80}" in thrift_text(AssignedTask(assigned_ports=frozendict({"http": 80})))
