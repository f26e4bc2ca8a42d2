"""How long a person waits for the command line itself."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 20
EXAMPLES = Path(__file__).parents[2] / "examples"

Figure = tuple[str, str, str]  # what, measured, goal


def figures() -> list[Figure]:
    """Each run is a process of its own, started as the installed command starts it."""
    inspect = ["job", "inspect", "devcluster/www-data/devel/sine_table", str(EXAMPLES / "sine_table.aurora")]
    return [
        ("aurora version, cold start, median", _measured(["version"]), "under 300 ms"),
        ("aurora job create -h, cold start, median", _measured(["job", "create", "-h"]), ""),
        ("aurora job inspect of 181 processes, median", _measured(inspect), ""),
    ]


def _measured(arguments: list[str]) -> str:
    return f"{statistics.median(_seconds(arguments) for _ in range(RUNS)) * 1000:.0f} ms"


def _seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    command = "from client.main import entry; entry()"
    subprocess.run([sys.executable, "-c", command, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
