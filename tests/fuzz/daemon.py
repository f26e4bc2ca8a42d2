"""A daemon to be attacked: it forgets quickly what it was made to do, so that only what leaks stays."""

from __future__ import annotations

from pathlib import Path

from tests.contract.daemon import running
from tests.contract.scenario import Setup
from tests.fuzz.attack import Found, attack

SETUP = Setup(
    ("agent-1 host-1 8 16384 100000 31000-31010",),
    (
        "-max_tasks_per_job=3",
        "-history_prune_threshold=1mins",
        "-history_max_per_job_threshold=1",
        "-history_min_retention_threshold=1secs",
        "-job_update_history_per_job_threshold=1",
        "-job_update_history_pruning_interval=1mins",
        "-job_update_history_pruning_threshold=1mins",
    ),
    is_durable=False,
)


def attacked(folder: Path, bodies: int, seed: int, *, corpus: int = 3_000) -> Found:
    """What a new daemon made of it; its log counts, too."""
    with running(SETUP, folder) as daemon:
        host, _, port = daemon.scheduler.rpartition(":")
        found = attack((host, int(port)), daemon.pid, bodies, seed, corpus=corpus)
        log = daemon.log()
    lines = [line for line in log.splitlines() if "Traceback" in line or " E " in line]
    return found._replace(wrong=(*found.wrong, *lines[:20]))
