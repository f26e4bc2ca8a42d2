"""`aurora task run | ssh | scp` to real tasks: of a single machine without ssh, and over a real ssh server."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import sshd
from tests.client.sshd import Sshd
from tests.e2e.cluster import Cluster, cluster, eventually
from tests.e2e.commands import Client

KEY = "devcluster/www-data/devel/entered"
JOB = """
jobs = [Service(
    cluster = 'devcluster', role = 'www-data', environment = 'devel', name = 'entered', instances = 2,
    task = Task(
        name = 'entered',
        processes = [Process(
            name = 'wait',
            cmdline = 'echo "I am {{mesos.instance}}" > who; echo {{thermos.ports[http]}} > port; sleep 1000')],
        resources = Resources(cpu = 0.1, ram = 32 * MB, disk = 32 * MB)))]
"""


@pytest.fixture(scope="module")
def it() -> Iterator[Cluster]:
    """A cluster of this machine with two tasks that run."""
    with tempfile.TemporaryDirectory(prefix="aurorad-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with cluster(folder) as started:
            job = folder / "entered.aurora"
            job.write_text(JOB)
            created = started.aurora("job", "create", "--wait-until=RUNNING", KEY, str(job))
            assert created.returncode == 0, created.stdout
            eventually("they write", lambda: len(list(folder.glob("work/agent/**/sandbox/port"))) == 2)
            yield started


@pytest.fixture
def home(it: Cluster) -> Iterator[Path]:
    """Of the user; the task's user may read there, and not write."""
    with tempfile.TemporaryDirectory(prefix="aurora-user-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def aurora(it: Cluster, home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    return Client(it, home, capfd)


def task_user() -> str:
    """Who tasks run as: root makes them their role's, others keep their own."""
    import getpass

    return "www-data" if os.geteuid() == 0 else getpass.getuser()


def sandbox(aurora: Client, instance: int) -> Path:
    ran = aurora.done("task", "run", f"{KEY}/{instance}", "pwd -P")
    return Path(ran.out.removeprefix("localhost:  ").strip())


def test_commands_run_in_the_sandboxes_as_the_tasks_user(aurora: Client) -> None:
    ran = aurora.done("task", "run", "-t", "2", KEY, "cat who; whoami")
    assert sorted(ran.out.splitlines()) == sorted(
        ["localhost:  I am 0", "localhost:  I am 1", *[f"localhost:  {task_user()}"] * 2]
    )
    assert ran.err == ""


def test_templates_know_the_task(aurora: Client) -> None:
    words = ("echo {{mesos.instance}} {{thermos.ports[http]}} {{thermos.task_id}}",)
    text = aurora.done("task", "run", f"{KEY}/1", *words).out.split()
    assert text[1] == "1"
    assert text[2] == (sandbox(aurora, 1) / "port").read_text().strip()
    assert text[3].startswith("www-data-devel-entered-1-")


def test_the_executors_folder_is_the_one_above(aurora: Client) -> None:
    ran = aurora.done("task", "run", "-e", f"{KEY}/0", "cat sandbox/who")
    assert ran.out == "localhost:  I am 0\n"


def test_no_tasks_are_told_and_no_failure(aurora: Client) -> None:
    ran = aurora.done("task", "run", "devcluster/www-data/devel/nothing", "ls")
    assert (ran.out, ran.err) == ("", " WARN] No running tasks of devcluster/www-data/devel/nothing were found\n")


def test_ssh_without_ssh(aurora: Client, home: Path) -> None:
    pid_file = home / "pid"
    ran = aurora("task", "ssh", "-p", pid_file, f"{KEY}/1", "-c", "cat who; echo $HOME; exit 7")
    assert ran.code == 7
    assert ran.out.startswith("I am 1\n")
    assert pid_file.read_text().isdecimal()
    assert aurora.done("task", "ssh", KEY, "0", "-c", "cat who").out == "I am 0\n"


def test_another_user_needs_root(aurora: Client) -> None:
    unknown = aurora("task", "ssh", "-l", "nobody-at-all", f"{KEY}/0", "-c", "ls")
    assert (unknown.code, unknown.err) == (6, "There is no user nobody-at-all on this machine\n")
    ran = aurora("task", "ssh", "-l", "daemon", f"{KEY}/0", "-c", "whoami")
    if os.geteuid() != 0:
        assert (ran.code, ran.err) == (6, "Only root can become daemon on this machine\n")
    else:
        assert ran.code == 1  # nobody but its user may enter a sandbox
        assert "Permission denied" in ran.err


def test_a_tunnel_leads_to_the_port_of_the_task(aurora: Client, home: Path) -> None:
    assigned = int((sandbox(aurora, 0) / "port").read_text())
    with socket.create_server(("localhost", assigned)) as task, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        threading.Thread(target=_answer_once, args=(task,), daemon=True).start()
        text = f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3; cat <&3"
        ran = aurora.done("task", "ssh", "-L", f"{port}:http", f"{KEY}/0", "-c", text)
        assert ran.out == "you said hello\n"
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        ran = aurora("task", "ssh", "-L", f"{taken.getsockname()[1]}:http", f"{KEY}/0", "-c", "true")
        assert ran.code == 4
        assert "cannot be listened on: Address already in use" in ran.err


def _answer_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"you said " + connection.recv(100))


def test_files_are_copied_out_and_in(aurora: Client, home: Path) -> None:
    aurora.done("task", "scp", f"{KEY}/0:who", home / "copy")
    assert (home / "copy").read_text() == "I am 0\n"
    (home / "many").mkdir()
    aurora.done("task", "scp", f"{KEY}/0:who", f"{KEY}/1:p*", home / "many")
    assert sorted(path.name for path in (home / "many").iterdir()) == ["port", "who"]
    script = home / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o750)
    aurora.done("task", "scp", script, f"{KEY}/0:.")
    there = sandbox(aurora, 0) / "script"
    assert there.stat().st_mode & 0o777 == 0o750
    assert there.owner() == task_user()
    aurora.done("task", "scp", f"{KEY}/0:who", f"{KEY}/1:from-0")
    assert (sandbox(aurora, 1) / "from-0").read_text() == "I am 0\n"


def test_folders_are_copied_when_asked_for(aurora: Client, home: Path) -> None:
    (home / "tree" / "below").mkdir(parents=True)
    (home / "tree" / "below" / "leaf").write_text("leaf")
    refused = aurora("task", "scp", home / "tree", f"{KEY}/0:.")
    assert (refused.code, refused.err) == (1, f"{home}/tree: not a regular file\n")
    aurora.done("task", "scp", "--scp-options=-rp -P 22", home / "tree", f"{KEY}/0:.")
    assert (sandbox(aurora, 0) / "tree" / "below" / "leaf").read_text() == "leaf"
    aurora.done("task", "scp", "--scp-options=-r", f"{KEY}/0:tree", home / "back")
    assert (home / "back" / "below" / "leaf").read_text() == "leaf"


def test_what_a_task_planted_is_followed_with_its_rights_alone(aurora: Client, home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has more rights than a task")
    secret, target = home / "secret", home / "target"
    secret.write_text("secret")
    secret.chmod(0o600)
    target.write_text("untouched")
    target.chmod(0o600)
    aurora.done("task", "run", f"{KEY}/0", f"ln -sfn {secret} out; ln -sfn {target} in")
    read = aurora("task", "scp", f"{KEY}/0:out", home / "stolen")
    assert (read.code, (home / "stolen").exists()) == (1, False)
    assert read.err.endswith("/out: Permission denied\n")
    (home / "new").write_text("overwritten")
    written = aurora("task", "scp", home / "new", f"{KEY}/0:in")
    assert written.code == 1
    assert target.read_text() == "untouched"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd.running(tmp_path_factory.mktemp("sshd")) as it:
        yield it


def test_with_a_slave_root_of_its_own_a_cluster_is_reached_by_ssh(
    aurora: Client, it: Cluster, server: Sshd, home: Path
) -> None:
    settings = {"name": "devcluster", "scheduler_uri": it.scheduler}
    (home / ".aurora").mkdir()
    (home / ".aurora" / "clusters.json").write_text(
        json.dumps([settings | {"slave_root": str(it.work_dir / "agent"), "slave_run_directory": "latest"}])
    )
    login = ("-l", server.user, f"--ssh-options={server.ssh_options}")
    ran = aurora.done("task", "run", *login, f"{KEY}/1", 'cat who; whoami; test -n "$SSH_CONNECTION" && echo by ssh')
    assert ran.out == f"localhost:  I am 1\nlocalhost:  {server.user}\nlocalhost:  by ssh\n"
    assert aurora("task", "ssh", *login, f"{KEY}/0", "-c", "cat who; exit 3").code == 3
