"""The .rpm packages of dist/packages in a root and a database of their own: installed, upgraded and erased.

The root is a Debian's, for its shell, which scriptlets need; so what is required of the system is not looked at here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import REPOSITORY
from tests.packaging.trees import Tree, fresh_debian

NAMES = ("aurora-scheduler", "aurora-executor", "aurora-tools")
NEWER = "99.0~test"


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    folder = tmp_path / "newer"
    packages = str(REPOSITORY / "packaging/packages")
    make = [sys.executable, packages, "--kind=rpm", f"--version={NEWER}", str(folder)]
    subprocess.run(make, check=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    with fresh_debian(tmp_path, tmp_path) as tree:
        yield tree


def _rpm(tree: Tree, *arguments: str | Path) -> str:
    ended = subprocess.run(
        ["rpm", f"--root={tree.root}", "--dbpath=/var/lib/rpm", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert "scriptlet failed" not in ended.stdout
    return ended.stdout


def test_what_an_operator_changed_stays_and_nothing_else_does(tree: Tree, newer: Path) -> None:
    (tree.root / "var/lib/rpm").mkdir()
    before = tree.files()
    _rpm(tree, "-i", "--nodeps", *(REPOSITORY / "dist/packages").glob("*.rpm"))
    assert tree.said("stat -c '%U:%G %a' /var/lib/aurora/scheduler") == "aurora:aurora 750"
    own = tree.root / "etc/sysconfig/thermos-observer"
    own.write_text("-mesos_root=/mesos\n")
    for command in ("aurora version", "thermos version", "aurora-observer -help", "aurora-single -help"):
        tree.run(command)
    assert not _rpm(tree, "-V", "--nodeps", "aurora-scheduler", "aurora-tools")
    assert (tree.root / "usr/lib/systemd/system/aurora-observer.service").exists()

    _rpm(tree, "-U", "--nodeps", *newer.glob("*.rpm"))
    assert own.read_text() == "-mesos_root=/mesos\n"
    assert set(_rpm(tree, "-q", "--qf", "%{version} ", *NAMES).split()) == {NEWER}
    _rpm(tree, "-U", "--nodeps", "--oldpackage", *(REPOSITORY / "dist/packages").glob("*.rpm"))

    _rpm(tree, "-e", *NAMES)
    left = {path for path in tree.files() - before if not path.startswith("var/lib/rpm")}
    users = {f"etc/{name}-" for name in ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")}
    assert left - users - {"etc/.pwd.lock"} == {"etc/sysconfig", "etc/sysconfig/thermos-observer.rpmsave"}
