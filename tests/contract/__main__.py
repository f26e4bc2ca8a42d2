"""``python -m tests.contract NAME ...`` replays scenarios, by name, area or beginning, and prints what differs."""

from __future__ import annotations

import sys

from tests.contract.differences import Listed, listed
from tests.contract.running import replay_all
from tests.contract.scenario import Scenario, load


def main(wanted: list[str]) -> int:
    """The exit status: how many scenarios differ in what is not listed."""
    chosen = [s for s in load() if not wanted or any(s.name.startswith(word) or s.area == word for word in wanted)]
    if not chosen:
        print(f"no scenario is called {' or '.join(wanted)}", file=sys.stderr)
        return 1
    known = listed()
    wrong = replay_all(chosen, known.judge)
    for scenario in chosen:
        is_wrong = bool(wrong[scenario.name])
        print(f"{scenario.name}: {scenario.title if is_wrong else 'as recorded'}{_aside(known, scenario)}")
        print("".join(f"{line}\n" for line in wrong[scenario.name]), end="")
    differ = [name for name, lines in wrong.items() if lines]
    print(f"{len(chosen) - len(differ)} of {len(chosen)} as recorded" + ("; not: " + " ".join(differ)) * bool(differ))
    return min(len(differ), 100)


def _aside(known: Listed, scenario: Scenario) -> str:
    count = len(known.of(scenario))
    return f" but for {count} listed difference{'s' * (count > 1)}" if count else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
