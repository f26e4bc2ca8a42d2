"""``python -m tests.contract.rows URL`` tries every row against a scheduler, and prints what it answers otherwise.

What it makes are jobs, cron jobs, updates and quotas of roles ``contract-...``, one snapshot and one backup; nothing
runs, and nothing but the quotas and a few ended updates stays. The scheduler must let anybody do all of that.
"""

from __future__ import annotations

import argparse
import random
import sys
from urllib.parse import urlsplit

from tests.contract.daemon import Elsewhere
from tests.contract.replay import replay
from tests.contract.rows.scenarios import ALL, new_roles, scenario


def main(arguments: list[str]) -> int:
    """The exit status: how many scenarios differ."""
    parser = argparse.ArgumentParser(prog="tests.contract.rows", description=__doc__)
    parser.add_argument("url", help="as http://host:8081")
    parser.add_argument("--protocol", choices=("json", "binary", "compact"), action="append")
    parser.add_argument("--only", metavar="NAME", default="", help="scenarios whose names begin so")
    given = parser.parse_args(arguments)
    address = urlsplit(given.url if "//" in given.url else f"http://{given.url}").netloc
    roles = new_roles(random.Random())
    differ, rows = [], 0
    for protocol in given.protocol or ("json", "binary"):
        for name in (name for name in ALL if name.startswith(given.only)):
            one = scenario(name, protocol, next(roles))
            findings = replay(one, Elsewhere(address))
            rows += len(one.steps)
            print(f"{name} ({protocol}): {len(one.steps)} rows" + (", not so:" if findings else ""))
            print("".join(f"{finding}\n" for finding in findings), end="")
            differ += [name] if findings else []
    print(f"{rows} rows" + (f"; scenarios that differ: {' '.join(differ)}" if differ else ", all as the sheet says"))
    return min(len(differ), 100)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
