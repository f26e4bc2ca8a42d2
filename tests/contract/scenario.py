"""The recordings: what the original answered, as data. `tests/contract/README.md` says what the files hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]

OURS = Path(__file__).parent / "recordings"


class Setup(NamedTuple):
    """What a scheduler is started with."""

    agents: tuple[str, ...]
    flags: tuple[str, ...]
    is_durable: bool

    @property
    def agent_ids(self) -> list[str]:
        return [line.split()[0] for line in self.agents]


class Scenario(NamedTuple):
    name: str
    area: str
    title: str
    setup: Setup
    is_fresh: bool
    """It needs a scheduler of its own."""
    protocol: str
    steps: list[Json]

    def does(self, step: Json) -> bool:
        """Whether the step is one of this protocol."""
        return bool(step.get("only", self.protocol) == self.protocol)


def folder() -> Path:
    """``CONTRACT_RECORDINGS``, or our own ones."""
    given = os.environ.get("CONTRACT_RECORDINGS")
    return Path(given) if given else OURS


def load() -> list[Scenario]:
    """All scenarios of the folder, by name. ``CONTRACT_PROTOCOL`` has all of them use that one."""
    return [scenario for path in sorted(folder().glob("*.json")) for scenario in _read(path)]


def _read(path: Path) -> Iterator[Scenario]:
    data = json.loads(path.read_text())
    if "steps" in data:  # else it goes with a backup
        setup = data["setup"]
        yield Scenario(
            data["name"],
            data["area"],
            data["title"],
            Setup(tuple(setup["agents"]), tuple(setup["flags"]), setup.get("storage") == "durable"),
            data["fresh"],
            os.environ.get("CONTRACT_PROTOCOL") or data["protocol"],
            data["steps"],
        )


def shares(scenarios: Iterable[Scenario]) -> list[list[Scenario]]:
    """Which of them may use one scheduler together; the largest share first."""
    together: dict[Setup, list[Scenario]] = {}
    alone: list[list[Scenario]] = []
    for scenario in scenarios:
        if scenario.is_fresh:
            alone.append([scenario])
        else:
            together.setdefault(scenario.setup, []).append(scenario)
    return [*sorted(together.values(), key=len, reverse=True), *alone]
