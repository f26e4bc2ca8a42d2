"""The shipped IDL is what the declarations say, and both are what the contract says.

``contract.json`` holds the facts of the original's IDL: every enum, constant, struct, union and method.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from aurorad.api import idl
from aurorad.api.calls import CALLS
from aurorad.api.enums import ScheduleStatus
from tests.api.apache import IDL, Apache

CONTRACT: dict[str, Any] = json.loads((Path(__file__).parent / "contract.json").read_text())
TEXTS = {"api": idl.api_text(), "storage": idl.storage_text()}


def blocks(text: str, kind: str) -> dict[str, list[str]]:
    """The lines inside each ``<kind> <name> {...}``, by name."""
    found = re.findall(rf"^{kind} ([^{{]+) \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
    return {name: [line.strip() for line in body.splitlines()] for name, body in found}


def test_the_shipped_files_are_as_the_declarations_say() -> None:
    for path, text in idl.files(IDL).items():
        assert path.read_text() == text, f"{path.name} is out of date: run `python -m aurorad.api.idl`"


@pytest.mark.parametrize("file", ["api", "storage"])
@pytest.mark.parametrize(("plural", "kind"), [("structs", "struct"), ("unions", "union")])
def test_structs_and_unions_have_the_fields_of_the_contract(file: str, plural: str, kind: str) -> None:
    assert blocks(TEXTS[file], kind) == CONTRACT[file][plural]


def test_enums_have_the_members_of_the_contract() -> None:
    expected = {
        name: [f"{member} = {value}" for member, value in members.items()]
        for name, members in CONTRACT["api"]["enums"].items()
    }
    assert blocks(TEXTS["api"], "enum") == expected
    assert blocks(TEXTS["storage"], "enum") == CONTRACT["storage"]["enums"] == {}


def test_services_have_the_methods_of_the_contract() -> None:
    expected = {
        f"{name} extends {service['extends']}" if service["extends"] else name: service["methods"]
        for name, service in CONTRACT["api"]["services"].items()
    }
    assert blocks(TEXTS["api"], "service") == expected
    assert len(CALLS) == 45


@pytest.mark.parametrize("file", ["api", "storage"])
def test_namespaces_are_those_of_the_contract(file: str) -> None:
    assert dict(re.findall(r"^namespace (\w+) (\S+)$", TEXTS[file], re.MULTILINE)) == CONTRACT[file]["namespaces"]


def test_constants_have_the_values_of_the_contract_for_who_compiles_the_idl(apache: Apache) -> None:
    for name, expected in CONTRACT["api"]["constants"].items():
        value = getattr(apache.constants, name)
        if isinstance(expected, str):
            assert value == expected
        else:
            enum = apache.api.JobUpdateStatus if "UPDATE" in name else apache.api.ScheduleStatus
            assert value == {enum._NAMES_TO_VALUES[member] for member in expected}
    assert (
        f"const i32 CURRENT_SCHEMA_VERSION = {CONTRACT['storage']['constants']['CURRENT_SCHEMA_VERSION']}\n"
        in (TEXTS["storage"])
    )


def test_the_compiler_gives_statuses_the_numbers_we_use(apache: Apache) -> None:
    assert {status.name: status.value for status in ScheduleStatus} == apache.api.ScheduleStatus._NAMES_TO_VALUES
