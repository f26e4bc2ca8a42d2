"""Only what differs when a scenario has a daemon to itself counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract import running
from tests.contract.daemon import DidNotStart
from tests.contract.replay import Finding
from tests.contract.scenario import Scenario, Setup

SETUP = Setup(("a h 1 2 3 4-5",), (), False)


def scenario(name: str) -> Scenario:
    return Scenario(name, "jobs", name, SETUP, False, "json", [])


def judge(scenario: Scenario, findings: list[Finding]) -> list[str]:
    return [str(finding.differences[0]) for finding in findings]


def test_what_differs_is_replayed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    replayed: list[str] = []

    def replay(scenario: Scenario, daemon: object) -> list[Finding]:
        replayed.append(scenario.name)
        late = scenario.name == "late" and replayed.count("late") == 1
        return [Finding({"n": 1}, ("differs",))] if late or scenario.name == "wrong" else []

    @contextmanager
    def no_daemon(setup: Setup, folder: Path) -> Iterator[object]:
        yield object()

    monkeypatch.setattr(running, "replay", replay)
    monkeypatch.setattr(running, "running", no_daemon)
    wrong = running.replay_all([scenario("fine"), scenario("late"), scenario("wrong")], judge)
    assert wrong == {"fine": [], "late": [], "wrong": ["differs"]}
    assert sorted(replayed) == ["fine", "late", "late", "wrong", "wrong"]


def test_a_daemon_that_does_not_start_is_every_scenarios_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(setup: Setup, folder: Path) -> None:
        raise DidNotStart("no such flag")

    monkeypatch.setattr(running, "running", none)
    assert running.replay_all([scenario("one"), scenario("other")], judge) == {
        "one": ["no such flag"],
        "other": ["no such flag"],
    }
