"""Jobs that are found in ZooKeeper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurorad.main import main
from tests.e2e.conftest import NewCluster
from tests.zookeeper import ZooKeeper, children_when

KEY = "devcluster/www-data/devel/hello"
JOB = """
serve = Process(name = 'serve', cmdline = 'echo {{thermos.ports[http]}} {{thermos.ports[admin]}}; exec sleep 1000')
task = Task(processes = [serve], resources = Resources(cpu = 0.1, ram = 16 * MB, disk = 16 * MB))
jobs = [Service(
    cluster = 'devcluster', role = 'www-data', environment = 'devel', name = 'hello', task = task, instances = 2,
    announce = Announcer())]
"""


def test_a_job_is_found_in_zookeeper_while_it_runs(zookeeper: ZooKeeper, folder: Path, new_cluster: NewCluster) -> None:
    (folder / "hello.aurora").write_text(JOB)
    credentials = {"scheme": "digest", "credential": "aurora:secret"}
    rights = {"read": True, "write": True, "create": True, "delete": True}
    auth = folder / "auth.json"
    auth.write_text(json.dumps({"auth": [credentials], "acl": [{**credentials, "permissions": rights}]}))
    auth.chmod(0o600)
    ours = f"--announcer-ensemble={zookeeper.address} --announcer-serverset-path=/found/here "
    ours += f"--announcer-hostname=outside.example --announcer-zookeeper-auth-config={auth}"
    with new_cluster(folder, f"-thermos_executor_flags={ours}") as it:
        created = it.aurora("job", "create", KEY, "hello.aurora")
        assert created.returncode == 0, created.stdout
        with zookeeper.client(("digest", "aurora:secret")) as client:
            path = "/found/here/www-data/devel/hello"
            names = children_when(client, path, lambda names: len(names) == 2)
            members = [json.loads(client.get(f"{path}/{name}")[0]) for name in names]
            assert {member["shard"] for member in members} == {0, 1}
            for member in members:
                assert set(member["additionalEndpoints"]) == {"http", "aurora", "admin"}
                assert member["serviceEndpoint"] == member["additionalEndpoints"]["aurora"]
                assert member["serviceEndpoint"]["host"] == "outside.example"
            assert it.aurora("job", "killall", KEY).returncode == 0
            assert client.get_children(path) == []
        logs = [log for place in it.sandboxes for log in place.rglob("*-devel-hello-*/runs/*-*/executor.log")]
        assert len(logs) == 2
        assert all("Announced as /found/here/www-data/devel/hello/member_" in log.read_text() for log in logs)
        assert not any("secret" in log.read_text() for log in logs)


def test_a_daemon_whose_executors_could_not_announce_does_not_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = f"--announcer-ensemble=zk.example --announcer-zookeeper-auth-config={tmp_path / 'auth.json'}"
    assert main([f"-work_dir={tmp_path / 'work'}", f"-thermos_executor_flags={ours}"]) == 1
    assert "-thermos_executor_flags cannot be used: Failed to open config file" in capsys.readouterr().err
