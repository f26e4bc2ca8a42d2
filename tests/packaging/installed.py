"""The packages of dist/packages in a fresh Debian: installed, upgraded, gone back to, removed and purged; and at work.

By name, after `make packages`: `make test-packages`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import REPOSITORY, eventually
from tests.packaging.trees import Tree, fresh_debian

NAMES = ("aurora-scheduler", "aurora-executor", "aurora-tools")
KEY = "devcluster/www-data/devel/hello_world"
NEWER = "99.0~test"
# What Debian's policy has stay: users, whose number somebody else shall not get.
STAYS = {"etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-", "etc/.pwd.lock"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those of dist/packages as `old-*.deb`, and the same again as a newer version, `new-*.deb`."""
    folder = tmp_path_factory.mktemp("packages")
    for name in NAMES:
        (old,) = (REPOSITORY / "dist/packages").glob(f"{name}_*.deb")
        shutil.copy(old, folder / f"old-{name}.deb")
        inside = folder / name
        subprocess.run(["dpkg-deb", "--raw-extract", old, inside], check=True)
        control = inside / "DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: .*$", f"Version: {NEWER}", control.read_text()))
        subprocess.run(["dpkg-deb", "-Znone", "--build", inside, folder / f"new-{name}.deb"], check=True)
        shutil.rmtree(inside)
    return folder


@pytest.fixture
def debian(tmp_path: Path, packages: Path) -> Iterator[Tree]:
    with fresh_debian(tmp_path, packages) as tree:
        yield tree


def _versions(tree: Tree) -> set[str]:
    return set(tree.said(f"dpkg-query -W -f '${{Status}} ${{Version}}\\n' {' '.join(NAMES)}").splitlines())


def test_what_an_operator_changed_stays_and_nothing_else_does(debian: Tree) -> None:
    before = debian.files()
    own = debian.root / "etc/default/aurora-scheduler"

    debian.run("dpkg -i /packages/old-*.deb")
    assert not debian.said("dpkg --audit")
    assert debian.said("stat -c '%U:%G %a' /var/lib/aurora/scheduler /var/lib/aurora/backups").splitlines() == [
        "aurora:aurora 750",
        "aurora:aurora 750",
    ]
    own.write_text(own.read_text() + "-hostname=mine.example\n")
    changed = own.read_text()
    (debian.root / "var/lib/aurora/scheduler/kept").write_text("state")

    for which, version in (("new", NEWER), ("old", None)):
        debian.run(f"dpkg -i /packages/{which}-*.deb")
        assert version is None or _versions(debian) == {f"install ok installed {NEWER}"}
        assert own.read_text() == changed
        assert not list(own.parent.glob("*.dpkg-*"))

    for name in NAMES:  # twice, as after an interruption
        script = debian.root / f"var/lib/dpkg/info/{name}.postinst"
        if script.exists():
            debian.run(f"/var/lib/dpkg/info/{name}.postinst configure 0")

    debian.run(f"dpkg -r {' '.join(NAMES)}")
    left = debian.files() - before - STAYS
    config = {"etc/default/aurora-scheduler", "etc/default/aurora-single", "etc/default/thermos"}
    config |= {"etc/aurora", "etc/aurora/clusters.json"}
    state = {"var/lib/aurora", "var/lib/aurora/scheduler", "var/lib/aurora/scheduler/kept"}
    assert left == config | state

    debian.run("dpkg -i /packages/old-aurora-scheduler.deb")
    assert debian.said("stat -c %U /var/lib/aurora/scheduler /var/lib/aurora/backups").split() == ["aurora"] * 2
    assert "Kept: /var/lib/aurora" in debian.said(f"dpkg -P {' '.join(NAMES)}")
    assert debian.files() - before - STAYS == state
    assert before - debian.files() == set()
    assert debian.said("getent passwd aurora")


def test_programs_pages_and_completions_are_where_people_look(debian: Tree) -> None:
    debian.run("dpkg -i /packages/old-*.deb")
    for command, words in (
        ("aurora version", "Aurora API version"),
        ("aurora_admin --help", "usage"),
        ("thermos version", "."),
        ("aurora-scheduler -help", "usage: aurorad"),
        ("aurora-single -help", "usage: aurorad"),
        ("aurora-observer -help", "usage: aurorad"),
        ("/usr/share/aurora/bin/thermos_executor --help", "aurorad -role=executor"),
        (
            "su -s /bin/sh nobody -c 'aurora config list /usr/share/doc/aurora-tools/examples/hello_world.aurora'",
            "hello",
        ),
    ):
        assert words in debian.said(command)
    for page in ("man8/aurora-scheduler.8", "man8/aurora-single.8", "man8/aurora-observer.8", "man1/aurora.1"):
        assert (debian.root / f"usr/share/man/{page}.gz").exists()
    assert (debian.root / "usr/share/bash-completion/completions/aurora").exists()


def test_the_tutorial_with_everything_installed_and_upgraded_while_a_task_runs(debian: Tree) -> None:
    with debian.booted():
        debian.run("dpkg -i /packages/old-*.deb")
        assert debian.said("systemctl is-enabled aurora-single aurora-scheduler || true").split() == ["disabled"] * 2
        debian.run("systemctl start aurora-single || { journalctl --no-pager -u aurora-single; exit 1; }")
        debian.run("cp -r /usr/share/doc/aurora-tools/examples/tutorial /tmp/tutorial")

        debian.run(f"cd /tmp/tutorial && aurora job create {KEY} hello_world.aurora")
        _wait_for(debian, "FAILED")
        debian.run("sed -i s/xrang/range/ /tmp/tutorial/hello_world.py")
        debian.run(f"cd /tmp/tutorial && aurora update start {KEY} hello_world.aurora")
        _wait_for(debian, "RUNNING")
        executor = debian.said("pgrep -x aurora-executor")

        debian.run("dpkg -i /packages/new-*.deb")
        debian.run("systemctl is-active aurora-single")
        assert debian.said("pgrep -x aurora-executor") == executor
        _wait_for(debian, "RUNNING")
        debian.run(f"aurora update wait {KEY}")
        debian.run(f"aurora job killall {KEY}")
        debian.run("! pgrep -x python3")

        debian.run("systemctl enable aurora-single")
        debian.run("systemctl start aurora-scheduler")  # instead
        assert debian.said("systemctl is-active aurora-scheduler aurora-single || true").split() == [
            "active",
            "inactive",
        ]
        assert set(debian.said("ps -o user= -C aurorad").split()) == {"aurora"}
        debian.run("systemctl start aurora-observer")
        debian.run(f"dpkg -P {' '.join(NAMES)}")
        assert not debian.run("pgrep -l aurorad", check=False).stdout
        assert not debian.run("find /etc/systemd -iname '*aurora*'", check=False).stdout
        assert debian.said("ls /var/lib/aurora/single /var/lib/aurora/scheduler")


def _wait_for(tree: Tree, status: str) -> None:
    wanted = f"status: {status}"
    try:
        eventually(wanted, lambda: wanted in tree.run(f"aurora job status {KEY}", check=False).stdout, 60)
    except AssertionError:
        print(tree.run(f"aurora job status {KEY}; journalctl --no-pager -n 50 -u aurora-single", check=False).stdout)
        raise
