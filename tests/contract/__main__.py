"""``python -m tests.contract NAME ...`` replays scenarios, by name, area or beginning, and prints what differs."""

from __future__ import annotations

import sys

from tests.contract.differences import Listed, listed
from tests.contract.replay import Finding
from tests.contract.running import replay_all
from tests.contract.scenario import Scenario, load


def main(wanted: list[str]) -> int:
    """The exit status: how many scenarios differ in what is not listed."""
    chosen = [s for s in load() if not wanted or any(s.name.startswith(word) or s.area == word for word in wanted)]
    if not chosen:
        print(f"no scenario is called {' or '.join(wanted)}", file=sys.stderr)
        return 1
    differ: list[str] = []
    known = listed()

    def hear(scenario: Scenario, findings: list[Finding]) -> None:
        wrong = known.judge(scenario, findings)
        if wrong:
            differ.append(scenario.name)
        print(f"{scenario.name}: {'as recorded' if not wrong else scenario.title}{_aside(known, scenario)}")
        for line in wrong:
            print(line)
        sys.stdout.flush()

    replay_all(chosen, hear)
    print(f"{len(chosen) - len(differ)} of {len(chosen)} as recorded", *(["; not:", *sorted(differ)] if differ else []))
    return min(len(differ), 100)


def _aside(known: Listed, scenario: Scenario) -> str:
    count = len(known.of(scenario))
    return f" but for {count} listed difference{'s' * (count > 1)}" if count else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
