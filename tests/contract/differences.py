"""Where we differ from the recordings on purpose: `differences.toml`, judged in both directions."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import NamedTuple

from tests.contract.replay import Finding
from tests.contract.scenario import Scenario

TABLE = Path(__file__).parent / "differences.toml"


class Difference(NamedTuple):
    scenario: str
    step: int
    reason: str


class Listed(NamedTuple):
    all: tuple[Difference, ...]

    def of(self, scenario: Scenario) -> dict[int, str]:
        """Reasons by step, of those that are done in this protocol."""
        done = {step["n"] for step in scenario.steps if scenario.does(step)}
        ours = [difference for difference in self.all if difference.scenario == scenario.name]
        return {difference.step: difference.reason for difference in ours if difference.step in done}

    def judge(self, scenario: Scenario, findings: list[Finding]) -> list[str]:
        """What is wrong: differences that are not listed, and listed ones that are none."""
        reasons = self.of(scenario)
        different = {finding.number for finding in findings}
        wrong = [str(finding) for finding in findings if finding.number not in reasons]
        for step, reason in reasons.items():
            if step not in different:
                wrong.append(f"  step {step} is as recorded, but listed as different: {reason}")
        return wrong


def listed() -> Listed:
    """The table: of each reason, scenarios with the numbers of their steps."""
    rows = tomllib.loads(TABLE.read_text()).get("difference", [])
    return Listed(
        tuple(
            Difference(scenario, step, row["reason"])
            for row in rows
            for scenario, steps in row["steps"].items()
            for step in steps
        )
    )
