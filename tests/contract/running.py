"""Replays many scenarios at once: a few daemons beside each other, the scenarios of each all at the same time.

Where many share a machine, one may come too late for what it wanted to see. So a scenario that differs is replayed once
more, alone; what differs then counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.contract.daemon import DidNotStart, running
from tests.contract.replay import Finding, replay
from tests.contract.scenario import Scenario, shares

_DAEMONS = 4
"""More at once only get into each other's way."""

Findings = dict[str, list[Finding]]
Judge = Callable[[Scenario, list[Finding]], list[str]]


def replay_all(scenarios: Iterable[Scenario], judge: Judge) -> dict[str, list[str]]:
    """What is wrong by scenario, as `judge` says of what differs."""
    wanted = list(scenarios)
    findings: Findings = {}
    with ThreadPoolExecutor(_DAEMONS) as daemons:
        for found in daemons.map(_replay_together, shares(wanted)):
            findings |= found
    wrong: dict[str, list[str]] = {}
    for scenario in wanted:
        wrong[scenario.name] = judge(scenario, findings[scenario.name])
        if wrong[scenario.name]:
            wrong[scenario.name] = judge(scenario, _replay_together([scenario])[scenario.name])
    return wrong


def _replay_together(scenarios: list[Scenario]) -> Findings:
    """All of them on one daemon, at the same time."""
    with tempfile.TemporaryDirectory(prefix="aurorad-contract-") as folder:
        try:
            with running(scenarios[0].setup, Path(folder)) as daemon, ThreadPoolExecutor(len(scenarios)) as pool:
                found = pool.map(lambda scenario: replay(scenario, daemon), scenarios)
                return {scenario.name: differ for scenario, differ in zip(scenarios, found, strict=True)}
        except DidNotStart as failed:
            return {scenario.name: [Finding({"n": 0}, (str(failed),))] for scenario in scenarios}
