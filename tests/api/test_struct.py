from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from aurorad.api.struct import I32, Base, Field, Id, SetOf, StructOf, ThriftStruct, fields_of, type_of
from aurorad.api.tasks import JobKey, Resource, TaskConfig, TaskQuery
from tests.api.values import BODIES, STRUCTS


@pytest.mark.parametrize("cls", [*STRUCTS, *BODIES], ids=lambda cls: cls.__name__)
def test_every_struct_has_distinct_ids_and_needs_no_argument(cls: type[ThriftStruct]) -> None:
    ids = [field.id for field in fields_of(cls)]
    assert len(set(ids)) == len(ids)
    assert hash(cls()) == hash(cls())
    assert cls() == cls()


def test_a_field_says_its_names_type_and_whether_it_may_be_unset() -> None:
    fields = {field.attribute: field for field in fields_of(TaskQuery)}
    assert fields["job_name"] == Field(2, "jobName", "job_name", Base("string"), optional=True, nullable=True)
    assert fields["job_keys"] == Field(
        11, "jobKeys", "job_keys", SetOf(StructOf(JobKey)), optional=True, nullable=False
    )
    assert fields["limit"] == Field(13, "limit", "limit", Base("i32"), optional=True, nullable=False)


def test_values_are_changed_only_by_making_others() -> None:
    config = TaskConfig(priority=1)
    with pytest.raises(AttributeError):
        config.priority = 2  # type: ignore[misc]
    assert msgspec.structs.replace(config, priority=2) == TaskConfig(priority=2)


def test_equal_values_are_one_member_of_a_set() -> None:
    assert len({TaskConfig(resources=frozenset({Resource(num_cpus=c)})) for c in (1.0, 1.0, 2.0)}) == 2


def test_a_field_without_an_id_is_refused() -> None:
    class Forgotten(ThriftStruct, frozen=True):
        number: I32 = 0

    with pytest.raises(TypeError, match=r"Forgotten\.number needs exactly one Id\(n\)"):
        fields_of(Forgotten)


def test_a_type_that_thrift_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="has no thrift type"):
        type_of(Annotated[complex, Id(1)])
