"""``make fuzz BODIES=1000000 SEED=1``: a daemon of our own on a simulated cluster, and broken requests for it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.daemon import attacked

_MOST_GROWTH_MB = 64.0
"""Of memory, while most of the bodies come; a leak of a hundred bytes a body would show among a million."""


def main(arguments: list[str]) -> int:
    """The exit status: 1 if the daemon minded."""
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--bodies", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="aurorad-fuzz-") as folder:
        found = attacked(Path(folder), given.bodies, given.seed)
    wrong = list(found.wrong)
    if found.grown_mb > _MOST_GROWTH_MB:
        wrong.append(f"memory grew by {found.grown_mb:.0f} MB")
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(found.statuses.items()))
    print(f"{sum(found.statuses.values()):,} bodies in {found.seconds:,.0f} s; answers by status {statuses}")
    slowest = f"{found.slowest_watch_s * 1000:,.0f} ms"
    print(f"slowest answer to a good call meanwhile {slowest}; memory {found.grown_mb:+.1f} MB")
    print("".join(f"{line}\n" for line in wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
