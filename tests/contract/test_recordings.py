"""aurorad answers as the original did, whose answers were recorded."""

from __future__ import annotations

import pytest

from tests.contract.differences import listed
from tests.contract.running import replay_all
from tests.contract.scenario import OURS, Scenario, folder, load

SCENARIOS = load()


@pytest.fixture(scope="module")
def wrong(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """What is wrong with the scenarios that were asked for, replayed at once: most of their time is waiting."""
    tests = [item for item in request.session.items if hasattr(item, "callspec")]
    wanted = [test.callspec.params.get("scenario") for test in tests]
    return replay_all((scenario for scenario in wanted if isinstance(scenario, Scenario)), listed().judge)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_goes_as_recorded(scenario: Scenario, wrong: dict[str, list[str]]) -> None:
    assert not wrong[scenario.name], "\n".join([f"{scenario.name}: {scenario.title}", *wrong[scenario.name]])


def test_there_are_recordings() -> None:
    assert SCENARIOS, f"no scenarios in {folder()}"


def test_every_listed_difference_is_of_a_step_of_ours() -> None:
    if folder() == OURS:
        steps = {(scenario.name, step["n"]) for scenario in SCENARIOS for step in scenario.steps}
        assert {(difference.scenario, difference.step) for difference in listed().all} <= steps
