"""A task that takes more than it reserved: a person sees why it ended, and its neighbour does not notice."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, eventually
from tests.e2e.conftest import NewCluster

MB = 1 << 20
FILL_DISK = "head -c 24M /dev/zero > large; exec sleep 1000"
EAT_MEMORY = "exec python3 -c 'x = bytearray(b\"x\") * (176 << 20); import time; time.sleep(1000)'"


@pytest.fixture(scope="module")
def shared_cluster(shared_folder: Path, new_cluster: NewCluster) -> Iterator[Cluster]:
    """One whose observer looks often."""
    every = ("-task_process_collection_interval_secs=1", "-task_disk_collection_interval_secs=1")
    with new_cluster(shared_folder, *every) as it:
        yield it


def create(cluster: Cluster, folder: Path, name: str, command: str) -> str:
    """The key of a new job of one task, which reserved 16 MB of memory and of disk."""
    key = f"devcluster/www-data/devel/{name}"
    file = folder / f"{name}.aurora"
    file.write_text(
        f"""
task = SequentialTask(
    name = '{name}', processes = [Process(name = 'p', cmdline = {command!r})],
    resources = Resources(cpu = 0.1, ram = 16*MB, disk = 16*MB))
jobs = [Job(cluster = 'devcluster', role = 'www-data', environment = 'devel', name = '{name}', task = task)]
"""
    )
    created = cluster.aurora("job", "create", key, str(file))
    assert created.returncode == 0, created.stdout
    return key


@pytest.mark.parametrize(
    ("name", "command", "words"),
    [
        ("disk", FILL_DISK, f"Disk limit exceeded.  Reserved {16 * MB} bytes vs used "),
        ("memory", EAT_MEMORY, f"Memory limit exceeded.  Reserved {16 * MB} bytes vs used "),
    ],
    ids=["disk", "memory"],
)
def test_a_task_that_takes_too_much_fails_and_says_so(
    shared_cluster: Cluster, tmp_path: Path, name: str, command: str, words: str
) -> None:
    neighbour = create(shared_cluster, tmp_path, f"neighbour-{name}", "exec sleep 1000")
    shared_cluster.wait_for_status(neighbour, "RUNNING")
    key = create(shared_cluster, tmp_path, name, command)
    output = shared_cluster.wait_for_status(key, "FAILED")
    assert words in output
    page = shared_cluster.get(f"/scheduler/{key.partition('/')[2]}")
    assert words.replace("  ", " ") in page.replace("  ", " ")
    shared_cluster.wait_for_status(neighbour, "RUNNING")
    assert shared_cluster.aurora("job", "killall", neighbour).returncode == 0


def test_what_a_task_uses_is_shown_beside_what_it_reserved(shared_cluster: Cluster, tmp_path: Path) -> None:
    key = create(shared_cluster, tmp_path, "modest", "head -c 8M /dev/zero > some; exec sleep 1000")
    shared_cluster.wait_for_status(key, "RUNNING")

    def shown() -> dict[str, float] | None:
        for observer in shared_cluster.observers:
            with urllib.request.urlopen(f"{observer}/j/task_ids/active", timeout=10) as answer:
                ids = [task["task_id"] for task in json.load(answer)["tasks"] if task["name"] == "modest"]
            if ids:
                with urllib.request.urlopen(f"{observer}/j/task/{ids[0]}", timeout=10) as answer:
                    metrics: dict[str, float] = json.load(answer)[ids[0]]["metrics"]
                return metrics if metrics["disk_used"] and metrics["ram_used"] else None
        return None

    metrics = eventually("use", shown)
    assert metrics["cpu_reserved"] == 0.1
    assert metrics["ram_reserved"] == metrics["disk_reserved"] == 16 * MB
    assert metrics["disk_percent"] == metrics["disk_used"] / (16 * MB)
    assert 0.5 <= metrics["disk_percent"] < 0.6
    assert shared_cluster.aurora("job", "killall", key).returncode == 0
