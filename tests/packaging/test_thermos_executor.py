"""The one file that agents fetch."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.e2e.cluster import REPOSITORY

WRAPPER = REPOSITORY / "packaging/thermos_executor"


def test_it_becomes_what_is_installed_with_the_arguments_it_was_given(tmp_path: Path) -> None:
    """As an agent's shell starts it, a copy somewhere else."""
    copy, installed = tmp_path / "thermos_executor", tmp_path / "aurorad"
    copy.write_bytes(WRAPPER.read_bytes())
    installed.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    for program in (copy, installed):
        program.chmod(0o755)
    ended = subprocess.run(
        ["/bin/sh", "-c", "./thermos_executor --nosetuid '--a=b c'"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "AURORAD": str(installed)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines() == [str(installed), "-role=executor", "--nosetuid", "--a=b c"]


def test_it_may_be_started() -> None:
    assert WRAPPER.stat().st_mode & 0o111 == 0o111
