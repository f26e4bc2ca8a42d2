from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from executor.sandbox import User, create_sandbox, current_user
from tests.executor.harness import root_only


def nobody() -> User:
    entry = pwd.getpwnam("nobody")
    return User("nobody", entry.pw_uid, entry.pw_gid, (entry.pw_gid,), drop=True)


@root_only
@pytest.mark.parametrize(
    ("closed", "mode", "is_let_in"), [(0o700, 0o750, True), (0o770, 0o750, True), (0o711, 0o711, False)]
)
def test_a_user_is_let_into_a_directory_that_an_agent_has_closed(
    tmp_path: Path, closed: int, mode: int, is_let_in: bool
) -> None:
    """As far as to read; what is open already stays as it is."""
    run, user = tmp_path / "run", nobody()
    run.mkdir()
    run.chmod(closed)
    create_sandbox(run / "sandbox", user)
    found, sandbox = run.stat(), (run / "sandbox").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (mode, 0)
    assert (found.st_gid == user.gid) is is_let_in
    assert (stat.S_IMODE(sandbox.st_mode), sandbox.st_uid, sandbox.st_gid) == (0o700, user.uid, user.gid)


def test_who_stays_who_it_is_needs_nobody_to_let_it_in(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    create_sandbox(tmp_path / "sandbox", current_user())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    assert (tmp_path / "sandbox").stat().st_uid == os.geteuid()
