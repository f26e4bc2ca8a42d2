"""Replays many scenarios at once: a few daemons beside each other, the scenarios of each all at the same time."""

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


def replay_all(
    scenarios: Iterable[Scenario], hear: Callable[[Scenario, list[Finding]], None] | None = None
) -> Findings:
    """What differs, by scenario; `hear` is told of each as soon as it is known."""
    findings: Findings = {}
    hear = hear or (lambda scenario, found: None)

    def share(together: list[Scenario]) -> None:
        with tempfile.TemporaryDirectory(prefix="aurorad-contract-") as folder:
            try:
                with running(together[0].setup, Path(folder)) as daemon, ThreadPoolExecutor(len(together)) as pool:
                    for scenario, found in zip(
                        together, pool.map(lambda one: replay(one, daemon), together), strict=True
                    ):
                        findings[scenario.name] = found
            except DidNotStart as failed:
                for scenario in together:
                    findings[scenario.name] = [Finding({"n": 0}, (str(failed),))]
        for scenario in together:
            hear(scenario, findings[scenario.name])

    with ThreadPoolExecutor(_DAEMONS) as daemons:
        list(daemons.map(share, shares(scenarios)))
    return findings
