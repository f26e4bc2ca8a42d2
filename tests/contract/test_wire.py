"""The replayer reads and writes the wire as the recordings' own bytes are."""

from __future__ import annotations

import base64

import pytest

from tests.contract import wire
from tests.contract.compare import Ids
from tests.contract.scenario import OURS, Json, load

RAW = [
    pytest.param(step, protocol, id=f"{scenario.name}-{step['n']}-{protocol}")
    for scenario in load()
    for step in scenario.steps
    if "rpc" in step
    for protocol in step.get("raw", {})
]


@pytest.mark.parametrize(("step", "protocol"), RAW)
def test_recorded_bytes_are_the_recorded_answer(step: Json, protocol: str) -> None:
    response: str = step["raw"][protocol]["response"]
    data = response.encode() if protocol == "tjson" else base64.b64decode(response)
    answer = wire.answer(protocol.removeprefix("t"), data)
    assert Ids().differences(step["answer"], answer.get("success", answer)) == []


def test_our_recordings_hold_some_bytes() -> None:
    assert RAW or not OURS.exists()
