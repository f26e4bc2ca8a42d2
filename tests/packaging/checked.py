"""What lintian and rpmlint say of the packages, and that the same tree gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.cluster import REPOSITORY

MADE = REPOSITORY / "dist/packages"


def test_lintian_is_content_but_for_what_the_overrides_justify() -> None:
    said = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error,warning", *sorted(MADE.glob("*.deb"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (said.returncode, said.stdout) == (0, "")


def test_rpmlint_is_content_but_for_what_the_configuration_justifies() -> None:
    said = subprocess.run(
        ["rpmlint", "--config", REPOSITORY / "packaging/rpm/rpmlint.toml", *sorted(MADE.glob("*.rpm"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert "0 errors, 0 warnings" in said.stdout, said.stdout


def test_packages_of_the_same_bundles_have_the_same_bytes(tmp_path: Path) -> None:
    """`make reproducible` builds the bundles twice, too."""
    (made,) = MADE.glob("aurora-tools_*.deb")
    (rpm,) = MADE.glob("aurora-tools-*.rpm")
    when = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "SOURCE_DATE_EPOCH": when.stdout.strip()}
    for folder in ("a", "b"):
        make: list[str | Path] = [
            sys.executable,
            REPOSITORY / "packaging/packages",
            "--only=aurora-tools",
            tmp_path / folder,
        ]
        subprocess.run(make, check=True, env=environment, stdout=subprocess.DEVNULL)
    for name in (made.name, rpm.name):
        assert _sum(tmp_path / "a" / name) == _sum(tmp_path / "b" / name)


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
