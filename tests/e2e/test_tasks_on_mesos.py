"""`aurora task run | ssh | scp` to tasks of a real Mesos, over a real ssh server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import sshd
from tests.client.sshd import Sshd
from tests.e2e.cluster import Cluster, Workers, eventually
from tests.e2e.commands import Client

pytestmark = pytest.mark.real_mesos

KEY = "devcluster/root/devel/entered"
JOB = """
jobs = [Service(
    cluster = 'devcluster', role = 'root', environment = 'devel', name = 'entered', instances = 2,
    task = Task(
        name = 'entered',
        processes = [Process(name = 'wait', cmdline = 'echo "I am {{mesos.instance}}" > who; sleep 1000')],
        resources = Resources(cpu = 0.1, ram = 32 * MB, disk = 32 * MB)))]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, workers: Workers) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd"), workers.hosts) as it:
        yield it


def test_tasks_of_agents_are_reached_by_ssh(
    devcluster: Cluster,
    workers: Workers,
    server: Sshd,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (folder,) = {path.parent.parent for path in workers.folders}
    settings = {"slave_root": f"{folder}/*/work", "slave_run_directory": "latest"}  # each agent has a folder of its own
    (tmp_path / ".aurora").mkdir()
    (tmp_path / ".aurora" / "clusters.json").write_text(
        json.dumps([{"name": "devcluster", "scheduler_uri": devcluster.scheduler, **settings}])
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    aurora = Client(devcluster, tmp_path, capfd)
    job = tmp_path / "entered.aurora"
    job.write_text(JOB)
    aurora.done("job", "create", "--wait-until=RUNNING", KEY, job)

    login = f"--ssh-options={server.ssh_options}"

    def both() -> list[str]:
        ran = aurora.done("task", "run", "-t2", login, KEY, "cat who")
        return sorted(line.partition(":  ")[2] for line in ran.out.splitlines())

    eventually("both tasks have written", lambda: both() == ["I am 0", "I am 1"])
    assert aurora("task", "ssh", login, f"{KEY}/1", "-c", "cat who; exit 3").code == 3
    copied = tmp_path / "copied"
    aurora.done("task", "scp", f"--scp-options={server.scp_options}", f"{KEY}/0:who", copied)
    assert copied.read_text() == "I am 0\n"
