"""Every row of the contract, as scenarios that `replay.py` can do against any scheduler."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator

from tests.contract.rows import admin, jobs, reads, updates
from tests.contract.rows.values import Scenario as Rows
from tests.contract.scenario import Scenario, Setup

SETUP = Setup(("agent-1 host-1 8 16384 100000 31000-31010",), (), is_durable=False)

ALL: dict[str, Rows] = {
    f"{module.__name__.rpartition('.')[2]}-{rows.__name__}": rows
    for module in (reads, jobs, updates, admin)
    for rows in module.SCENARIOS
}


def scenario(name: str, protocol: str, role: str) -> Scenario:
    steps = [
        {"n": number, "rpc": row.method, "args": row.args, "answer": row.answer, "note": row.says, "settle": row.settle}
        for number, row in enumerate(ALL[name](role), 1)
    ]
    return Scenario(name, "rows", name.replace("-", ": ", 1), SETUP, False, protocol, steps)


def new_roles(numbers: random.Random) -> Iterator[str]:
    """Roles that nobody has used, however often this is replayed against one scheduler."""
    run = "".join(numbers.choices(string.ascii_lowercase + string.digits, k=10))
    return (f"contract-{run}-{number}" for number in range(1_000_000))
