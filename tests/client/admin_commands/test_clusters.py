"""What `aurora_admin` tells of a cluster by itself (admin-commands sheet, section 3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.client.conftest import Runner

ENTRY = {
    "name": "east",
    "scheduler_uri": "http://east:8081",
    "slave-root": "/var/lib/mesos's",
    "is_test": True,
    "racks": ["a", {"b": 1}],
    "note": None,
}


@pytest.fixture
def east(home: Path) -> None:
    (home / ".clusters.json").write_text(json.dumps([ENTRY]))


@pytest.mark.usefixtures("east")
def test_an_entry_is_printed_as_json(aurora_admin: Runner) -> None:
    ran = aurora_admin("get_cluster_config", "east")
    assert (ran.code, json.loads(ran.out)) == (0, ENTRY)


@pytest.mark.usefixtures("east")
def test_an_entry_is_printed_for_a_shell(aurora_admin: Runner) -> None:
    lines = aurora_admin("get_cluster_config", "--sh", "east").out.splitlines()
    assert lines == [
        "AURORA_CLUSTER_NAME=east",
        "AURORA_CLUSTER_SCHEDULER_URI=http://east:8081",
        "AURORA_CLUSTER_SLAVE_ROOT='/var/lib/mesos'\"'\"'s'",
        "AURORA_CLUSTER_IS_TEST=1",
        "AURORA_CLUSTER_RACKS_0=a",
        "AURORA_CLUSTER_RACKS_1_B=1",
        "AURORA_CLUSTER_NOTE=''",
    ]
    assert aurora_admin("get_cluster_config", "--sh", "--export", "east").out.startswith("export AURORA_CLUSTER_NAME=")
    assert aurora_admin("get_cluster_config", "--export", "east").code == 2


def test_an_unknown_cluster_is_status_1(aurora_admin: Runner) -> None:
    ran = aurora_admin("get_cluster_config", "north")
    assert (ran.code, ran.err) == (1, "Unknown cluster: north (known: devcluster, example)\n")
