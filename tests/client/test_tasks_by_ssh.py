"""`aurora task run | ssh | scp` over a real ssh server, as to the agents of a Mesos cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aurorad.api.calls import GetTasksStatus
from aurorad.api.enums import LIVE_STATES, ScheduleStatus
from aurorad.api.tasks import JobKey, ScheduledTask
from client.sandboxes import is_this_machine
from tests.client import sshd
from tests.client.conftest import Runner
from tests.client.fake_scheduler import FakeScheduler, Http, refused
from tests.client.sshd import Sshd
from tests.client.values import CONFIG, task, tasks

RUNNING = ScheduleStatus.RUNNING


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as it:
        yield it


@pytest.fixture
def key(server: Sshd) -> str:
    return f"west/{server.user}/test/hello"


@pytest.fixture
def agent(scheduler: FakeScheduler, server: Sshd, home: Path) -> Path:
    """A Mesos agent's folder with the sandboxes of two tasks, and a cluster that knows where it is."""
    root = home / "mesos root"
    there = []
    for instance, host in ((1, "127.0.0.1"), (0, "localhost")):
        run = root / f"slaves/S0/frameworks/F0/executors/thermos-task-{instance}/runs/run-{instance}"
        (run / "sandbox").mkdir(parents=True)
        (run.parent / "latest").symlink_to(run)
        (run / "sandbox" / "out.txt").write_text(f"from {instance}\n")
        there.append(_task(instance, host, server.user))
    scheduler.on(GetTasksStatus, lambda call: tasks(*(t for t in there if _wanted(t, call.query.instance_ids))))
    cluster = {"name": "west", "scheduler_uri": scheduler.url}
    settings = {"slave_root": str(root), "slave_run_directory": "latest"}
    (home / ".aurora" / "clusters.json").write_text(json.dumps([cluster | settings]))
    return root


def _task(instance: int, host: str, role: str) -> ScheduledTask:
    config = msgspec.structs.replace(CONFIG, job=JobKey(role, "test", "hello"))
    return task(instance, RUNNING, host=host, config=config, ports={"http": 31000 + instance})


def _wanted(there: ScheduledTask, instances: frozenset[int]) -> bool:
    return not instances or there.assigned_task.instance_id in instances


def sandbox(agent: Path, instance: int) -> Path:
    return agent / f"slaves/S0/frameworks/F0/executors/thermos-task-{instance}/runs/run-{instance}/sandbox"


def test_a_command_runs_in_every_sandbox(
    aurora: Runner, scheduler: FakeScheduler, agent: Path, server: Sshd, key: str
) -> None:
    ran = aurora("task", "run", "-t", "2", f"--ssh-options={server.ssh_options}", key, "cat out.txt; echo err >&2")
    assert ran.code == 0
    assert sorted(ran.out.splitlines()) == [
        "127.0.0.1:  err",
        "127.0.0.1:  from 1",
        "localhost:  err",
        "localhost:  from 0",
    ]
    (asked,) = scheduler.of(GetTasksStatus)
    assert asked.query.statuses == LIVE_STATES


def test_templates_are_filled_in_and_several_words_are_one_command(
    aurora: Runner, agent: Path, server: Sshd, key: str
) -> None:
    words = ("echo", "{{mesos.instance}}", "{{thermos.ports[http]}}", "{{thermos.task_id}}", "{{other}}")
    ran = aurora("task", "run", f"--ssh-options={server.ssh_options}", f"{key}/1", "--", *words)
    assert ran.out == "127.0.0.1:  1 31001 task-1 {{other}}\n"


@pytest.mark.parametrize(
    "words", [("echo", "a", "--", "b", "--"), ("--", "&>/dev/null;", "echo", "a", "--", "b", "--")]
)
def test_of_several_double_dashes_only_the_first_is_ours(
    aurora: Runner, agent: Path, server: Sshd, key: str, words: tuple[str, ...]
) -> None:
    ran = aurora("task", "run", f"--ssh-options={server.ssh_options}", f"{key}/1", "--", *words)
    assert ran.out == "127.0.0.1:  a -- b --\n"


def test_a_user_and_the_executors_folder_may_be_asked_for(aurora: Runner, agent: Path, server: Sshd, key: str) -> None:
    login = (f"--ssh-options={server.ssh_options}", "-l", server.user)
    ran = aurora("task", "run", "-e", *login, f"{key}/0", 'basename "$PWD"; whoami')
    assert ran.out == f"localhost:  latest\nlocalhost:  {server.user}\n"


def test_a_command_is_not_run_where_the_sandbox_is_gone(aurora: Runner, agent: Path, server: Sshd, key: str) -> None:
    sandbox(agent, 0).rename(agent / "elsewhere")
    ran = aurora("task", "run", f"--ssh-options={server.ssh_options}", f"{key}/0", "echo here")
    assert ran.code == 0
    assert "No such file or directory" in ran.out
    assert "here" not in ran.out.split()


def test_a_job_that_cannot_be_asked_about_is_told(aurora: Runner, scheduler: FakeScheduler, agent: Path) -> None:
    scheduler.on(GetTasksStatus, refused("no idea"))
    ran = aurora("task", "run", "west/bozo/test/hello", "ls")
    assert (ran.code, ran.err) == (1, "Could not retrieve task information: no idea\n")


def test_ssh_has_the_status_of_its_command_and_writes_its_process_id(
    aurora: Runner, agent: Path, server: Sshd, key: str, home: Path
) -> None:
    pid_file = home / "pid"
    options = (f"--ssh-options={server.ssh_options}", "--pid-file", pid_file)
    ran = aurora("task", "ssh", *options, f"{key}/1", "-c", "cat out.txt; exit 7")
    assert ran.code == 7
    assert pid_file.read_text().isdecimal()


def test_without_an_instance_the_first_is_entered(aurora: Runner, agent: Path, server: Sshd, key: str) -> None:
    found = agent.parent / "entered"
    shell = agent.parent / "bin"
    shell.mkdir()
    (shell / "ssh").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {found}\n')
    (shell / "ssh").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(shell), prepend=":")
        assert aurora("task", "ssh", "--ssh-options=-v -4", "-L", "8080:http", key).code == 0
        assert found.read_text().splitlines() == [
            *("-t", "-v", "-4", "-L", "8080:localhost:31000", f"{server.user}@localhost"),
            f"cd '{agent}'/slaves/*/frameworks/*/executors/thermos-task-0/runs/latest/sandbox || exit 1;bash",
        ]
        assert aurora("task", "ssh", key, "1").code == 0
        assert "thermos-task-1" in found.read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("KEY", "-c", "ls"), "INSTANCE must be specified when --command option is given\n"),
        (("KEY/0", "-L", "http"), "Could not parse tunnel: http.  Must be of form PORT:NAME\n"),
        (("KEY/0", "-L", "80:admin"), "Task task-0 has no port named admin\n"),
        (("KEY/9",), "Job KEY not found\n"),
    ],
)
def test_what_cannot_be_entered_is_status_6(
    aurora: Runner, agent: Path, key: str, arguments: tuple[str, ...], told: str
) -> None:
    ran = aurora("task", "ssh", *(word.replace("KEY", key) for word in arguments))
    assert (ran.code, ran.err) == (6, told.replace("KEY", key))


def test_a_scheduler_that_refuses_is_status_10(aurora: Runner, scheduler: FakeScheduler, agent: Path) -> None:
    scheduler.on(GetTasksStatus, refused("no idea"))
    ran = aurora("task", "ssh", "west/bozo/test/hello/0")
    assert (ran.code, ran.err) == (10, "Unable to get information about instance:\n\tno idea\n")


def test_files_are_copied_from_a_sandbox_and_into_one(
    aurora: Runner, agent: Path, server: Sshd, key: str, home: Path
) -> None:
    options = f"--scp-options={server.scp_options}"
    assert aurora("task", "scp", options, f"{key}/1:out.txt", f"{key}/0:*.txt", home / "copy").code == 1
    (home / "copy").mkdir()
    assert aurora("task", "scp", options, f"{key}/1:out.txt", home / "copy").code == 0
    assert (home / "copy" / "out.txt").read_text() == "from 1\n"
    (home / "new.txt").write_text("new")
    ran = aurora("task", "scp", options, home / "new.txt", f"{key}/0:.")
    assert ran.code == 0
    assert (sandbox(agent, 0) / "new.txt").read_text() == "new"
    absolute = home / "absolute.txt"
    assert aurora("task", "scp", options, home / "new.txt", f"{key}/0:{absolute}").code == 0
    assert absolute.read_text() == "new"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("KEY/0:~/x", "."), "Command does not support tilde expansion for path: ~/x\n"),
        (("KEY/0:~", "."), "Command does not support tilde expansion for path: ~\n"),
        (("KEY/9:x", "."), "Job or instance KEY/9 not found\n"),
        (
            ("user@host:x", "."),
            "Task instance specifier user@host is not in the form CLUSTER/ROLE/ENV/NAME/INSTANCE\n",
        ),
        (("KEY/x:x", "."), "Instance must be an integer, but got x\n"),
    ],
)
def test_what_cannot_be_copied_is_status_6(
    aurora: Runner, agent: Path, key: str, arguments: tuple[str, ...], told: str
) -> None:
    ran = aurora("task", "scp", *(word.replace("KEY", key) for word in arguments))
    assert (ran.code, ran.err) == (6, told.replace("KEY", key))


def test_a_cluster_without_slave_root_names_it(
    aurora: Runner, scheduler: FakeScheduler, agent: Path, key: str, home: Path
) -> None:
    file = home / ".aurora" / "clusters.json"
    file.write_text(json.dumps([{"name": "west", "scheduler_uri": scheduler.url}]))
    ran = aurora("task", "run", key, "ls")
    assert (ran.code, ran.err) == (
        3,
        f"slave_root is needed: the folder where agents keep the sandboxes of tasks (west in {file})\n",
    )


def test_a_scheduler_that_knows_the_place_spares_the_setting(
    aurora: Runner, scheduler: FakeScheduler, agent: Path, key: str, home: Path
) -> None:
    (home / ".aurora" / "clusters.json").write_text(json.dumps([{"name": "west", "scheduler_uri": scheduler.url}]))
    body = json.dumps({"slave_root": str(agent), "slave_run_directory": "latest"}).encode()
    scheduler.pages["/sandboxes"] = Http(200, {"Content-Type": "application/json"}, body)
    ran = aurora("task", "run", key, "cat out.txt")
    assert sorted(ran.out.splitlines()) == ["127.0.0.1:  from 1", "localhost:  from 0"]


@pytest.mark.parametrize(
    "odd",
    [
        {"task_id": "$(touch odd)"},
        {"task_id": "task-1;touch odd"},
        {"host": "localhost -oProxyCommand=odd"},
        {"config": msgspec.structs.replace(CONFIG, job=JobKey("-oProxyCommand=touch odd;", "test", "hello"))},
    ],
)
@pytest.mark.parametrize("words", [["run", "KEY", "ls"], ["ssh", "KEY/0", "-c", "ls"], ["scp", "KEY/0:a", "."]])
def test_what_a_scheduler_says_of_a_task_never_becomes_a_command(
    aurora: Runner, scheduler: FakeScheduler, agent: Path, server: Sshd, key: str, odd: dict[str, Any], words: list[str]
) -> None:
    config = _task(0, "localhost", server.user).assigned_task.task
    theirs = task(0, RUNNING, **{"host": "localhost", "config": config, **odd})
    scheduler.on(GetTasksStatus, tasks(theirs))
    scheduler.pages["/sandboxes"] = Http(200, {"Content-Type": "application/json"}, _PLACE)
    (agent.parent / ".aurora" / "clusters.json").write_text(
        json.dumps([{"name": "west", "scheduler_uri": scheduler.url}])
    )
    ran = aurora("task", *(word.replace("KEY", key) for word in words))
    assert (ran.code, ran.out) == (20, "")
    assert "is not what was asked for" in ran.err


_PLACE = json.dumps({"slave_root": "/{{thermos.task_id}}", "slave_run_directory": "latest"}).encode()


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("http://localhost:8081/", True),
        ("http://127.0.0.1:8081/", True),
        ("http://[::1]:8081/", True),
        ("https://192.0.2.7:8081/", False),
        ("http://nowhere.invalid:8081/", False),
    ],
)
def test_only_a_scheduler_of_this_machine_has_its_agents_here(url: str, near: bool) -> None:
    assert is_this_machine(url) is near
