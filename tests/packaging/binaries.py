"""The bundled programs, as `make binaries` leaves them in dist: no Python, no sources around them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.cluster import REPOSITORY, Cluster, cluster, eventually

DIST = REPOSITORY / "dist"
KEY = "devcluster/www-data/devel/bundled"
JOB = """
task = SimpleTask('bundled', 'echo hello from {{mesos.instance}}; sleep 1000')
jobs = [Service(cluster='devcluster', role='www-data', environment='devel', name='bundled', task=task(
    resources=Resources(cpu=0.1, ram=16*MB, disk=16*MB)))]
"""
GOES_ON = """
first = Process(name='first', cmdline='while [ ! -e go ]; do sleep 0.1; done')
second = Process(name='second', cmdline='touch second; sleep 1000')
final = Process(name='final', cmdline='touch final', final=True)
task = Task(name='bundled', processes=[first, second, final], constraints=order(first, second),
    resources=Resources(cpu=0.1, ram=16*MB, disk=16*MB))
jobs = [Service(cluster='devcluster', role='www-data', environment='devel', name='bundled', task=task,
    health_check_config=HealthCheckConfig(health_checker=HealthCheckerConfig(
        shell=ShellHealthChecker(shell_command='true')), interval_secs=1, initial_interval_secs=1))]
"""


def _program(name: str) -> Path:
    """Of the bundle that it is part of."""
    return DIST / ("aurora" if name in ("aurora", "aurora_admin") else "aurorad") / name


def _together(folder: Path, dist: Path = DIST) -> Path:
    """All commands in one folder, as packages link them into /usr/bin."""
    for bundle, names in (("aurorad", ("aurorad", "thermos")), ("aurora", ("aurora", "aurora_admin"))):
        for name in names:
            (folder / name).symlink_to(dist / bundle / name)
    return folder


@pytest.fixture
def bundled(tmp_path: Path) -> Iterator[Cluster]:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # as root, tasks run as their role's user
    with cluster(tmp_path, binaries=_together(tmp_path)) as it:
        yield it


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["aurorad", "-help"], "usage: aurorad"),
        (["aurora", "version"], "Aurora API version"),
        (["aurora_admin", "--help"], "usage"),
        (["thermos", "version"], "."),
    ],
)
def test_each_program_starts_without_a_python_around_it(command: list[str], told: str) -> None:
    ended = subprocess.run(
        [_program(command[0]), *command[1:]],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")},
        cwd="/",
        timeout=60,
        check=False,
    )
    assert told in ended.stdout, ended
    assert not ended.stderr


def test_the_bundle_speaks_kerberos(tmp_path: Path) -> None:
    keytab = tmp_path / "keytab"
    keytab.write_bytes(b"none")
    flags = (
        "-http_authentication_mechanism=NEGOTIATE",
        "-shiro_realm_modules=KERBEROS5_AUTHN",
        f"-kerberos_server_keytab={keytab}",
        "-kerberos_server_principal=HTTP/localhost@TEST.REALM",
    )
    command = [str(_program("aurorad")), f"-work_dir={tmp_path / 'work'}", "-http_port=0", "-observer_port=0", *flags]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "key table" in ended.stderr


def test_a_job_runs_and_ends_with_executors_of_the_bundle(bundled: Cluster) -> None:
    job = bundled.folder / "bundled.aurora"
    job.write_text(JOB)
    created = bundled.aurora("job", "create", KEY, str(job))
    assert created.returncode == 0, created.stdout
    bundled.wait_for_status(KEY, "RUNNING")
    sandbox_processes = eventually("the task runs", bundled.task_processes)
    executors = {
        parent.exe()
        for pid in sandbox_processes
        for parent in psutil.Process(pid).parents()
        if parent.name() == "aurora-executor"
    }
    assert executors == {str(_program("aurorad"))}
    assert "bundled" in bundled.get("/scheduler/www-data/devel/bundled")
    killed = bundled.aurora("job", "killall", KEY)
    assert killed.returncode == 0, killed.stdout
    eventually("all of the task's processes are gone", lambda: not bundled.task_processes())


def test_executors_go_on_and_end_properly_when_their_bundle_is_gone(tmp_path: Path) -> None:
    """An upgrade puts other files in the place of those that a running program has not read yet."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    for bundle in ("aurorad", "aurora"):
        shutil.copytree(DIST / bundle, tmp_path / "dist" / bundle, symlinks=True)
    with cluster(tmp_path, binaries=_together(tmp_path, tmp_path / "dist")) as it:
        job = tmp_path / "bundled.aurora"
        job.write_text(GOES_ON)
        assert it.aurora("job", "create", KEY, str(job)).returncode == 0
        it.wait_for_status(KEY, "RUNNING")
        shutil.rmtree(tmp_path / "dist/aurorad")
        (latest,) = (tmp_path / "work/agent").rglob("runs/latest")
        run = latest.resolve()
        (run / "sandbox/go").touch()
        eventually("the next process is run", (run / "sandbox/second").exists)
        killed = it.aurora("job", "killall", KEY)
        assert killed.returncode == 0, killed.stdout
        it.wait_for_status(KEY, "KILLED")
        assert (run / "sandbox/final").exists()
        assert not (run / "stderr").read_text()
        assert not it.task_processes()
