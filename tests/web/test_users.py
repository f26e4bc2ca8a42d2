"""The file of users and roles (security sheet, section 2)."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from aurorad.rules.permissions import parse
from aurorad.web import users as module
from aurorad.web.users import BadUsers, User, UsersFile, read_users
from tests.light_hashes import light
from tests.waiting import until

EXAMPLE = r"""
# who
[users]
ann = apple, admin
bob = pear, quota
; and
web: plum, webops , deploy, nothing
svc/host  nut
joe = a\
      b, admin
[roles]
admin = *
quota = thrift.AuroraAdmin:setQuota
webops = thrift.AuroraSchedulerManager:*:webapp
deploy = "thrift.AuroraSchedulerManager:killTasks,restartShards:web:prod", thrift.AuroraAdmin:snapshot
"""


def test_a_file_says_who_there_is_and_what_each_may() -> None:
    users = read_users(EXAMPLE)
    assert users.users == {
        "ann": User("apple", ("admin",)),
        "bob": User("pear", ("quota",)),
        "web": User("plum", ("webops", "deploy", "nothing")),
        "svc/host": User("nut", ()),
        "joe": User("ab", ("admin",)),
    }
    assert users.permissions("ann") == (parse("*"),)
    assert users.permissions("web") == (
        parse("thrift.AuroraSchedulerManager:*:webapp"),
        parse("thrift.AuroraSchedulerManager:killTasks,restartShards:web:prod"),
        parse("thrift.AuroraAdmin:snapshot"),
    )
    assert users.permissions("svc/host") == users.permissions("nobody") == ()


@pytest.mark.parametrize("text", ["[users]\nann = apple, admin", "[roles]\nadmin = *"])
def test_either_section_may_be_missing(text: str) -> None:
    read_users(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"No sections present. Allowed sections are: roles,users"),
        ("# nothing", r"No sections present"),
        ("[users]\n[main]\n[urls]", r"Extra sections present: \[main, urls\]"),
        ("ann = apple", r"line 1: \[users\] or \[roles\] was expected"),
        ("[users]\nann", r"line 2: name = value was expected"),
        ("[users]\n= apple", r"line 2: name = value was expected"),
        ("[users]\nann = ", r"line 2: a password was expected"),
        ("[users]\nann = , admin", r"line 2: a password was expected"),
        ("[users]\nann = a\nann = b", r"line 3: ann is there twice"),
        ("[users]\nann = $2y$10$abcdefg", r"line 2: a hash made by `aurorad password hash` was expected"),
        ("[roles]\nadmin =", r"line 2: '' is no permission"),
        ("[roles]\n\nadmin = *, a::b", r"line 3: 'a::b' is no permission"),
        ('[roles]\nadmin = "a,b', r"line 2: items with commas between were expected"),
        ('[roles]\nadmin = "a"b', r"line 2: items with commas between were expected"),
        ("[roles]\nadmin = \\\n*,\\\n :", r"line 2: ':' is no permission"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(BadUsers, match=message):
        read_users(text)


@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["[users]", "[roles]", "a=b", '"', "\\", ",", "\n", " "])).map("".join)
)
def test_any_text_is_a_file_of_users_or_is_told_to_be_none(text: str) -> None:
    with contextlib.suppress(BadUsers):
        read_users(text)


def test_nobody_is_told_a_password() -> None:
    users = read_users(EXAMPLE)
    assert "apple" not in repr(users)
    with pytest.raises(BadUsers) as error:
        read_users("[users]\nann = sesame", only_hashed=True)
    assert "line 2" in str(error.value)
    assert "sesame" not in str(error.value)


def test_a_file_may_be_asked_to_have_hashed_passwords_alone() -> None:
    read_users(f"[users]\nann = {light('apple')}, admin\nbob = !", only_hashed=True)


class TestFile:
    def test_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(BadUsers, match=rf"-shiro_ini_path={tmp_path}/users.ini cannot be read: No such file"):
            UsersFile(tmp_path / "users.ini")

    def test_that_is_not_text_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "users.ini").write_bytes(b"[users]\n\xff")
        with pytest.raises(BadUsers, match="byte 8: UTF-8 was expected"):
            UsersFile(tmp_path / "users.ini")

    @pytest.mark.parametrize(("mode", "words"), [(0o600, None), (0o640, None), (0o644, "read"), (0o666, "written")])
    def test_that_others_may_open_is_told(
        self, tmp_path: Path, mode: int, words: str | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = tmp_path / "users.ini"
        path.write_text(EXAMPLE)
        path.chmod(mode)
        UsersFile(path)
        assert [words in record.message for record in caplog.records if words] == ([True] if words else [])
        assert bool(caplog.records) is bool(words)

    async def test_is_read_again_when_it_changes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.01)
        path = tmp_path / "users.ini"

        path.write_text("[users]\nann = apple\n")
        path.chmod(0o600)
        file = UsersFile(path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(file.run)
            path.write_text("[users]\nbob = pears\n")
            await until(lambda: set(file.users.users) == {"bob"})
            path.write_text("[users]\nbob\n")
            await until(lambda: "stays in force" in caplog.records[-1].message)
            path.unlink()
            await until(lambda: "No such file" in caplog.records[-1].message)
            assert set(file.users.users) == {"bob"}
            path.write_text("[users]\njoe = nut\n")
            await until(lambda: set(file.users.users) == {"joe"})
            nursery.cancel_scope.cancel()
