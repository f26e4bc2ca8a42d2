"""JSON under the IDL's names: what is written is read again, and what does not fit is told by its path."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aurorad.api.calls import CreateJob, GetJobs, GetTasksStatus, Reply, SetQuota
from aurorad.api.enums import ScheduleStatus
from aurorad.api.named_json import encode, from_json
from aurorad.api.struct import ThriftStruct
from aurorad.api.tasks import (
    JobConfiguration,
    JobKey,
    PercentageSlaPolicy,
    Resource,
    ResourceAggregate,
    TaskConfig,
    TaskQuery,
)
from aurorad.api.wire import WireError
from tests.api.values import BODIES, STRUCTS, any_struct

WIDE = settings(
    max_examples=8,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("cls", [*STRUCTS, *BODIES], ids=lambda cls: cls.__name__)
def test_what_is_written_is_read_again(cls: type[ThriftStruct]) -> None:
    @WIDE
    @given(any_struct(cls))
    def back_and_forth(value: ThriftStruct) -> None:
        assert from_json(cls, json.loads(encode(value))) == value

    back_and_forth()


def test_names_are_the_idls_and_only_what_is_unset_is_left_out() -> None:
    config = TaskConfig(JobKey("r", "e", "j"), resources=frozenset({Resource(num_cpus=1)}))
    made = json.loads(encode(JobConfiguration(JobKey("r", "e", "j"), task_config=config, instance_count=0)))
    assert made["instanceCount"] == 0
    assert made["key"] == {"role": "r", "environment": "e", "name": "j"}
    assert made["taskConfig"]["resources"] == [{"numCpus": 1.0}]
    assert made["taskConfig"]["metadata"] == []
    assert "tier" not in made["taskConfig"]
    assert json.loads(encode(TaskQuery(statuses=frozenset({ScheduleStatus.RUNNING}))))["statuses"] == ["RUNNING"]


def test_null_is_unset_and_members_that_nobody_knows_are_passed_over() -> None:
    assert from_json(GetJobs, {"ownerRole": None, "x": {"y": 1}}) == GetJobs()
    assert from_json(TaskQuery, {"limit": None}) == TaskQuery()


@pytest.mark.parametrize(
    ("cls", "value", "message"),
    [
        (GetJobs, {"ownerRole": {"a": 1}}, "ownerRole: {'a': 1} where a string was expected"),
        (GetJobs, [], "GetJobs: [] where an object, GetJobs, was expected"),
        (GetTasksStatus, {"query": {"statuses": ["NOPE"]}}, "query.statuses[0]: 'NOPE' where one of INIT, "),
        (GetTasksStatus, {"query": {"statuses": "RUNNING"}}, "query.statuses: 'RUNNING' where an array was expected"),
        (GetTasksStatus, {"query": {"limit": 2**31}}, "query.limit: 2147483648 where a 32-bit integer was expected"),
        (GetTasksStatus, {"query": {"limit": True}}, "query.limit: True where a 32-bit integer was expected"),
        (
            SetQuota,
            {"quota": {"resources": [{"numCpus": 1, "ramMb": 2}]}},
            "quota.resources[0]: {'numCpus': 1, 'ramMb': 2} where an object of one of numCpus, ramMb, ",
        ),
        (
            CreateJob,
            {"description": {"taskConfig": {"taskLinks": {"a": 5}}}},
            "description.taskConfig.taskLinks['a']: ",
        ),
        (
            CreateJob,
            {"description": {"taskConfig": {"isService": 1}}},
            "description.taskConfig.isService: 1 where true",
        ),
        (PercentageSlaPolicy, {"percentage": 10**400}, "percentage: 1000"),
        (PercentageSlaPolicy, {"percentage": "x"}, "percentage: 'x' where a number was expected"),
    ],
)
def test_what_does_not_fit_is_told_by_its_path(cls: type[ThriftStruct], value: object, message: str) -> None:
    with pytest.raises(WireError) as refused:
        from_json(cls, value)
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([*STRUCTS, *BODIES]), JSON, st.data())
def test_whatever_the_json_a_wire_error_is_all_that_comes_out(
    cls: type[ThriftStruct], junk: object, data: st.DataObject
) -> None:
    value = json.loads(encode(data.draw(any_struct(cls))))
    if value:
        value[data.draw(st.sampled_from(sorted(value)))] = junk
    for mixed in (value, junk):
        try:
            back = from_json(cls, mixed)
        except WireError:
            continue
        encode(back)  # what was let in can be written again


def test_a_value_that_is_no_number_is_written_as_null() -> None:
    assert json.loads(encode(PercentageSlaPolicy(math.nan)))["percentage"] is None


def test_parts_that_are_shared_are_written_wherever_they_are() -> None:
    config = TaskConfig(JobKey("r", "e", "j"), priority=7)
    jobs = [JobConfiguration(JobKey("r", "e", "j"), task_config=config, instance_count=i) for i in range(2)]
    assert [from_json(JobConfiguration, json.loads(encode(job))) for job in jobs] == jobs
    assert json.loads(encode(ResourceAggregate())) == {"resources": []}
    assert json.loads(encode(Reply())) == {}
