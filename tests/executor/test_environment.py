"""What a command finds around itself (thermos-runner sheet, section 8)."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from executor.environment import Place, UserError, user_named
from executor.sandbox import User, current_user

ME = current_user()
MY_HOME = pwd.getpwuid(ME.uid).pw_dir
SANDBOX = Path("/run/sandbox")


@pytest.mark.parametrize(
    ("sandbox", "chroot", "home", "profile"),
    [
        (SANDBOX, False, "/run/sandbox", "/run/sandbox/.thermos_profile"),
        (SANDBOX, True, MY_HOME, "/.thermos_profile"),
        (None, False, MY_HOME, f"{Path.cwd()}/.thermos_profile"),
        (None, True, MY_HOME, f"{Path.cwd()}/.thermos_profile"),
    ],
)
def test_home_and_profile_are_where_the_table_says(sandbox: Path | None, chroot: bool, home: str, profile: str) -> None:
    place = Place.of(ME, sandbox, chroot=chroot)
    assert (place.directory, place.home, str(place.profile)) == (sandbox, home, profile)
    assert place.chroot == (chroot and sandbox is not None)


def test_a_command_has_four_variables() -> None:
    place = Place.of(User("web", 1000, 1000), SANDBOX)
    assert place.variables("/bin", {}) == {"HOME": "/run/sandbox", "LOGNAME": "web", "USER": "web", "PATH": "/bin"}


def test_they_win_over_those_that_are_inherited() -> None:
    place = Place.of(User("web", 1000, 1000), SANDBOX)
    variables = place.variables("/bin", {"HOME": "/root", "LANG": "C", "PATH": "/sbin"})
    assert variables == {"HOME": "/run/sandbox", "LOGNAME": "web", "USER": "web", "PATH": "/bin", "LANG": "C"}


def test_a_user_without_an_account_has_no_home() -> None:
    with pytest.raises(UserError, match="Unable to get pwent information!"):
        Place.of(User("ghost", 4_000_000_000, 1), None)


def test_one_may_always_be_oneself() -> None:
    assert user_named(ME.name) == ME


def test_nobody_can_become_who_is_not_there() -> None:
    with pytest.raises(UserError, match="Unable to get pwent information!"):
        user_named("no-such-user")


def test_root_may_become_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    nobody = user_named("nobody")
    assert nobody.drop
    assert nobody.uid == pwd.getpwnam("nobody").pw_uid


def test_others_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(UserError, match="Must be root to run processes as other users!"):
        user_named("nobody")
