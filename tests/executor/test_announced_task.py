"""Tasks that are announced in a real ZooKeeper while they run, by the executor that runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient

from aurorad import procfs
from aurorad.engine.base import TaskState
from aurorad.main import main as daemon_main
from executor import announcement
from executor.announcer import TIMED_OUT
from executor.flags import ExecutorFlags
from executor.main import LOG
from executor.sandbox import current_user
from tests.executor.harness import Executor, assigned, process, task, wait_until
from tests.zookeeper import ZooKeeper, children_when

PATH = f"/aurora/{current_user().name}/test/job"
FOREVER = process("p", "exec sleep 1000")


def announced(directory: Path, flags: ExecutorFlags, *processes: dict[str, Any], **announce: Any) -> Executor:
    """An executor at work. To be made before the test's client: what has threads must not fork."""
    work = assigned(task(*(processes or (FOREVER,))), ports={"http": 31000}, announce=announce)
    return Executor(work, directory, flags=flags)


def flags_for(zookeeper: ZooKeeper) -> ExecutorFlags:
    return ExecutorFlags(announcer_ensemble=zookeeper.address)


def members(client: KazooClient) -> list[str]:
    return children_when(client, PATH, bool)


def announcers(executor: Executor) -> list[int]:
    return [process.pid for process in procfs.tree(executor.pid) if process.name == b"aurora-announce"]


def test_a_task_is_announced_while_it_runs(zookeeper: ZooKeeper, tmp_path: Path) -> None:
    executor = announced(tmp_path, flags_for(zookeeper))
    with zookeeper.client() as client:
        (member,) = members(client)
        assert json.loads(client.get(f"{PATH}/{member}")[0]) == {
            "serviceEndpoint": {"host": "host.example", "port": 31000},
            "additionalEndpoints": {name: {"host": "host.example", "port": 31000} for name in ("aurora", "http")},
            "status": "ALIVE",
            "shard": 0,
        }
        executor.kill()
        assert executor.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
        assert client.get_children(PATH) == []


def test_a_task_that_ends_by_itself_is_not_announced_any_more(zookeeper: ZooKeeper, tmp_path: Path) -> None:
    waits = process("p", "until [ -e over ]; do sleep 0.01; done")
    executor = announced(tmp_path, flags_for(zookeeper), waits)
    with zookeeper.client() as client:
        members(client)
        (executor.sandbox / "over").touch()
        assert executor.finish() == (TaskState.TASK_FINISHED, "Task finished.")
        assert client.get_children(PATH) == []


def test_what_ends_a_tasks_processes_spares_its_announcer(zookeeper: ZooKeeper, tmp_path: Path) -> None:
    waits = process("p", "setsid sleep 1000 & until [ -e over ]; do sleep 0.01; done")
    last = process("last", "echo up > up; until [ -e gone ]; do sleep 0.01; done", final=True)
    executor = announced(tmp_path, flags_for(zookeeper), waits, last)
    with zookeeper.client() as client:
        before = members(client), announcers(executor)
        (executor.sandbox / "over").touch()
        executor.wait_for_file("up")  # the rest of the task was told to end, and then killed
        assert (client.get_children(PATH), announcers(executor)) == before
        (executor.sandbox / "gone").touch()
        assert executor.finish() == (TaskState.TASK_FINISHED, "Task finished.")


def test_an_executor_that_takes_over_announces_anew(zookeeper: ZooKeeper, tmp_path: Path) -> None:
    executor = announced(tmp_path, flags_for(zookeeper))
    wait_until(lambda: bool(announcers(executor)), "an announcer")
    (announcer,) = announcers(executor)
    executor.crash()
    wait_until(lambda: procfs.info(announcer) is None, "the announcer is gone with its executor")
    executor = announced(tmp_path, flags_for(zookeeper))
    with zookeeper.client() as client:
        members(client)
        executor.kill()
        executor.finish()
        assert client.get_children(PATH) == []


def test_without_a_server_the_task_fails(zookeeper: ZooKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcement, "_LEAST_CONNECT_LIMIT_S", 0.2)
    work = assigned(task(FOREVER), announce={}, health_check_config={"initial_interval_secs": 0})
    with zookeeper.frozen():
        executor = Executor(work, tmp_path, flags=flags_for(zookeeper))
        assert executor.finish() == (TaskState.TASK_FAILED, TIMED_OUT)


@pytest.mark.parametrize(
    ("zk_path", "allowed", "message"),
    [
        (
            "/own",
            False,
            "Executor must be started with --announcer-allow-custom-serverset-path in order to use zk_path in the "
            "Announcer config",
        ),
        ("own", True, "zk_path in the Announcer config is 'own': a path like /a/b was expected"),
    ],
)
def test_a_path_that_may_not_be_is_the_tasks_failure(tmp_path: Path, zk_path: str, allowed: bool, message: str) -> None:
    flags = ExecutorFlags(announcer_ensemble="127.0.0.1:1", announcer_allow_custom_serverset_path=allowed)
    executor = announced(tmp_path, flags, zk_path=zk_path)
    assert executor.finish() == (TaskState.TASK_FAILED, message)


def test_a_name_without_a_number_is_warned_of(tmp_path: Path) -> None:
    flags = ExecutorFlags(announcer_ensemble="127.0.0.1:1")
    executor = announced(tmp_path, flags, portmap={"thrift": "service"})
    executor.until(TaskState.TASK_RUNNING)
    assert "Task has unmapped port: thrift => service" in (tmp_path / LOG).read_text()
    executor.kill()
    executor.finish()


def test_nobody_is_announced_without_an_ensemble(tmp_path: Path) -> None:
    executor = announced(tmp_path, ExecutorFlags(), zk_path="/own")
    executor.until(TaskState.TASK_RUNNING)
    assert announcers(executor) == []
    executor.kill()
    executor.finish()


@pytest.mark.parametrize(
    ("flags", "content", "message"),
    [
        ([], "{", "Problem parsing ZK authentication config "),
        ([], '{"auth": [{}]}', "ZK authentication config is invalid "),
        ([], None, "Failed to open config file "),
        (
            [],
            '{"acl": [{"scheme": "digest", "credential": "user", "permissions": {}}]}',
            "Digest credential should be of the form <user>:<password>",
        ),
        (
            ["--announcer-serverset-path=aurora"],
            "{}",
            "--announcer-serverset-path=aurora: a path like /aurora was expe",
        ),
    ],
)
def test_a_bad_file_of_credentials_is_a_usage_error(
    flags: list[str], content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "auth.json"
    if content is not None:
        file.write_text(content)
    ours = ["--announcer-ensemble=zk.example", f"--announcer-zookeeper-auth-config={file}", *flags]
    assert daemon_main(["-role=executor", *ours]) == 2
    assert capsys.readouterr().err.startswith(f"aurorad -role=executor: {message}")
