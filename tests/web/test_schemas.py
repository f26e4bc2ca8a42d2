"""What the schemas say of a struct is what it looks like as JSON."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aurorad.api import named_json
from aurorad.api.struct import ThriftStruct
from aurorad.scheduler.rpc.plans import Plan
from aurorad.web.apiclient import described_calls
from aurorad.web.schemas import Schemas
from tests.api.values import BODIES, STRUCTS, any_struct


def validator(cls: type[ThriftStruct]) -> jsonschema_rs.Validator:
    schemas = Schemas()
    return jsonschema_rs.validator_for({**schemas.of(cls), "components": {"schemas": schemas.all()}})


@pytest.mark.parametrize("cls", [*STRUCTS, *BODIES], ids=lambda cls: cls.__name__)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_struct_is_as_its_schema_says(cls: type[ThriftStruct], data: st.DataObject) -> None:
    value = data.draw(any_struct(cls))
    validator(cls).validate(json.loads(named_json.encode(value)))


def test_what_is_not_declared_does_not_fit() -> None:
    for cls in STRUCTS:
        assert not validator(cls).is_valid({"nobodysField": 1})


def test_structs_of_msgspec_are_described_too() -> None:
    schemas = Schemas()
    assert schemas.of(Plan) == {"$ref": "#/components/schemas/Plan"}
    assert set(schemas.all()) >= {"Plan", "Fit", "Explanation"}


def test_the_client_knows_every_call_and_its_arguments() -> None:
    described = described_calls()
    services = described["services"]
    assert isinstance(services, list)
    calls = {call["method"]: call for service in services for call in service["calls"]}
    assert len(calls) == 45
    assert list(calls["killTasks"]["arguments"]["properties"]) == ["job", "instances", "message"]
    assert (calls["killTasks"]["reads"], calls["getJobs"]["reads"]) == (False, True)
