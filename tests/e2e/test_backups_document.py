"""docs/backups.md and docs/migration.md, done as written."""

from __future__ import annotations

import shutil
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.e2e.walkthrough import World, commands, world
from tests.zookeeper import ZooKeeper

BACKUP = Path(__file__).parents[1] / "contract" / "recordings" / "backup-1.bin"

JOB = """
jobs = [Service(cluster = 'devcluster', role = 'www', environment = 'prod', name = '{name}', instances = 2,
    task = SimpleTask('{name}', 'sleep 1000'))]
"""


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as it:
        yield it


def create(operator: World, name: str) -> None:
    file = operator.root / f"{name}.aurora"
    file.write_text(JOB.format(name=name))
    operator.run(f"aurora job create devcluster/www/prod/{name} {file}")


def jobs(operator: World) -> list[str]:
    """Once the scheduler answers again."""
    told = operator.run("aurora job list devcluster").splitlines()
    return [line for line in told if line.startswith("devcluster/")]  # the rest are log lines


def until_jobs_are(operator: World, *names: str) -> None:
    expected = [f"devcluster/www/prod/{name}" for name in names]
    deadline = time.monotonic() + 30
    while (found := jobs(operator)) != expected:
        assert time.monotonic() < deadline, f"{found} after all; {operator.log()}"
        time.sleep(0.1)


def query(file: Path, text: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(text).fetchall()


def test_a_backup_is_made_looked_into_gone_back_to_and_restored_after_the_log_was_lost(operator: World) -> None:
    operator.run("systemctl start aurora-scheduler")
    create(operator, "kept")
    make, look = commands("backups.md", "Make one and look inside")
    assert "1 available backups:\nscheduler-backup-" in operator.run(make)
    assert operator.run(look).splitlines()[-1].startswith("www/prod/kept|2|")
    for file in ("backup.sqlite", "now.sqlite"):
        assert query(operator.root / file, "SELECT DISTINCT job FROM tasks") == [("www/prod/kept",)]

    create(operator, "mistake")
    stage, commit = commands("backups.md", "Go back to a backup")
    assert "www\tkept\t1\t" in operator.run(stage)
    assert len(jobs(operator)) == 2, "nothing has changed yet"
    assert "Response from scheduler: OK" in operator.run(commit)
    until_jobs_are(operator, "kept")

    create(operator, "later")
    (restore,) = commands("backups.md", "When the log is lost: a scheduler that is alone")
    operator.run("kill -9 $(cat supervisor child)")
    for segment in operator.path("/var/lib/aurora/scheduler/log").iterdir():
        segment.write_bytes(b"rubbish" * 1000)
    operator.run(restore.replace("systemctl stop aurora-scheduler\n", ""))  # it is down already
    until_jobs_are(operator, "kept")
    assert operator.path("/var/lib/aurora/log.lost").is_dir()
    operator.run("systemctl stop aurora-scheduler && systemctl start aurora-scheduler")
    until_jobs_are(operator, "kept")

    (several,) = commands("backups.md", "From one scheduler to several, and back")
    assert "db: 2 tasks" in operator.run(several)


def test_a_backup_of_the_original_is_looked_at_and_moved_here(operator: World) -> None:
    (look,) = commands("migration.md", "Look before you move")
    backup_there, move = commands("migration.md", "The way here")
    (backup_here,) = commands("migration.md", "The way back")
    shutil.copy(BACKUP, operator.root / "scheduler-backup-2026-11-21-03-35")
    assert set(operator.run(look).splitlines()[-3:]) == {"ads", "data", "web"}
    assert backup_there == "aurora_admin scheduler_backup_now west\n"
    listed = operator.run(move).splitlines()
    assert [line for line in listed if line.startswith("devcluster/")][:2] == [
        "devcluster/ads/prod/api",
        "devcluster/ads/prod/batch",
    ]
    operator.run(backup_here)
    assert list(operator.path("/var/lib/aurora/backups").glob("scheduler-backup-*"))


@pytest.fixture
def three(tmp_path: Path, zookeeper: ZooKeeper) -> Iterator[Mapping[str, World]]:
    """Machines of three schedulers that stand in for each other; those that begin anew do so of themselves."""
    with ExitStack() as running:
        yield {
            name: running.enter_context(
                world(
                    tmp_path / name,
                    f"-zk_endpoints={zookeeper.address}",
                    "-zk_session_timeout=4secs",
                    "-serverset_path=/aurora/scheduler",
                    "-native_log_zk_group_path=/aurora/log",
                    f"-native_log_file_path={tmp_path / name}/var/lib/aurora/scheduler/db",
                    "-native_log_quorum_size=2",
                    "-native_log_initialize",
                    ready="vars",
                )
            )
            for name in "abc"
        }


def leader(machines: Mapping[str, World]) -> World:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for machine in machines.values():
            if _answers(machine, "leaderhealth"):
                return machine
        time.sleep(0.1)
    raise AssertionError("nobody leads: " + "".join(machine.log() for machine in machines.values()))


def _answers(machine: World, path: str) -> bool:
    try:
        urllib.request.urlopen(f"http://localhost:{machine.port}/{path}", timeout=5).close()
    except (urllib.error.URLError, OSError):
        return False
    return True


def variable(machine: World, name: str) -> str:
    with urllib.request.urlopen(f"http://localhost:{machine.port}/vars", timeout=5) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    return next(line.partition(" ")[2] for line in lines if line.startswith(f"{name} "))


def test_three_schedulers_that_have_lost_their_logs_go_on_from_a_backup(three: Mapping[str, World]) -> None:
    for machine in three.values():
        machine.run("systemctl start aurora-scheduler")
    first = leader(three)
    create(first, "kept")
    first.run("aurora_admin scheduler_backup_now devcluster")
    create(first, "mistake")
    for script in commands("backups.md", "Go back to a backup"):
        first.run(script)
    until_jobs_are(leader(three), "kept")
    create(leader(three), "forgotten")
    away, restore, start = commands("backups.md", "When the log is lost: several schedulers")
    for machine in three.values():
        machine.run(away)
    if first is not three["a"]:
        (backup,) = first.path("/var/lib/aurora/backups").iterdir()
        shutil.copy(backup, three["a"].path("/var/lib/aurora/backups"))
    three["a"].run(restore)
    for name in "ab":
        three[name].run(start)
    until_jobs_are(leader(three), "kept")
    three["c"].run(start)
    deadline = time.monotonic() + 60
    while variable(three["c"], "scheduler_log_native_status") != "VOTING":
        assert time.monotonic() < deadline, three["c"].log()
        time.sleep(0.1)
    for name in "ab":  # the third has all of it too
        if three[name] is not leader(three):
            three[name].run("systemctl stop aurora-scheduler")
            break
    create(leader(three), "later")
    until_jobs_are(leader(three), "kept", "later")
