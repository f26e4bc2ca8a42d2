"""The file of users and roles (security sheet, section 2): Java's INI, with two sections.

[users]
ann = $scrypt$..., admin
[roles]
admin = *
deploy = "thrift.AuroraSchedulerManager:killTasks,restartShards:web:prod"
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import trio

from aurorad import passwords
from aurorad.rules.permissions import BadPermission, Permission, parse

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 2.0
_MOST_BYTES = 16 << 20
_SECTIONS = ("roles", "users")
_SECTION = re.compile(r"\[\s*(.*?)\s*\]")
_ENTRY = re.compile(r"([^=:\s]+)\s*[=:\s]\s*(.*)", re.DOTALL)
_ITEM = re.compile(r'\s*(?:"([^"]*)"|([^",]*))\s*(,|$)')


class BadUsers(ValueError):
    """A file of users that cannot be used: the text says where and why, and shows no password."""


NO_PASSWORD = "!"  # noqa: S105 - nobody has it
"""In place of a password: for those who prove who they are in another way, or not any longer."""


class User(NamedTuple):
    password: str
    """Or a hash of it."""
    roles: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Users:
    """Who there is, and what each may do."""

    users: Mapping[str, User] = dataclasses.field(repr=False)
    roles: Mapping[str, tuple[Permission, ...]]

    def permissions(self, name: str) -> tuple[Permission, ...]:
        """Nothing for somebody who is not there; a role that is not defined grants nothing."""
        user = self.users.get(name)
        roles = user.roles if user is not None else ()
        return tuple(permission for role in roles for permission in self.roles.get(role, ()))


def read_users(text: str, *, only_hashed: bool = False) -> Users:
    """Raises `BadUsers`."""
    sections: dict[str, dict[str, tuple[int, list[str]]]] = {}
    section: dict[str, tuple[int, list[str]]] | None = None
    for number, line in _lines(text):
        if (heading := _SECTION.fullmatch(line)) is not None:
            section = sections.setdefault(heading[1], {})
            continue
        entry = _ENTRY.fullmatch(line)
        if section is None or entry is None:
            expected = "[users] or [roles]" if section is None else "name = value"
            raise BadUsers(f"line {number}: {expected} was expected")
        if entry[1] in section:
            raise BadUsers(f"line {number}: {entry[1]} is there twice")
        section[entry[1]] = number, _items(number, entry[2])
    if extra := sorted(sections.keys() - set(_SECTIONS)):
        raise BadUsers(f"Extra sections present: [{', '.join(extra)}]")
    if not sections:
        raise BadUsers(f"No sections present. Allowed sections are: {','.join(_SECTIONS)}")
    return Users(
        {name: _user(number, items, only_hashed) for name, (number, items) in sections.get("users", {}).items()},
        {name: _permissions(number, items) for name, (number, items) in sections.get("roles", {}).items()},
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, with the number of each; one that ends with a backslash goes on."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not begun and (not stripped or stripped[0] in "#;"):
            continue
        first = first if begun else number
        goes_on = (len(stripped) - len(stripped.rstrip("\\"))) % 2 == 1
        begun += stripped[:-1] if goes_on else stripped
        if not goes_on:
            yield first, begun
            begun = ""
    if begun:
        yield first, begun


def _items(number: int, text: str) -> list[str]:
    """What commas divide; quotes keep commas together."""
    items, position = [], 0
    while True:
        found = _ITEM.match(text, position)
        if found is None:
            raise BadUsers(
                f"line {number}: items with commas between were expected, each of them wholly in quotes or not"
            )
        items.append(found[1] if found[1] is not None else (found[2] or "").strip())
        position = found.end()
        if not found[3]:
            return items


def _user(number: int, items: list[str], only_hashed: bool) -> User:
    password, *roles = items
    if not password:
        raise BadUsers(f"line {number}: a password was expected")
    try:
        hashed = passwords.is_hashed(password)
    except passwords.BadHash as error:
        raise BadUsers(f"line {number}: {error}") from None
    if only_hashed and not hashed and password != NO_PASSWORD:
        raise BadUsers(
            f"line {number}: the password is not hashed, as -shiro_credentials_matcher=HASHED wants it: "
            "`aurorad password hash` does that"
        )
    return User(password, tuple(role for role in roles if role))


def _permissions(number: int, items: list[str]) -> tuple[Permission, ...]:
    try:
        return tuple(parse(item) for item in items)
    except BadPermission as error:
        raise BadUsers(f"line {number}: {error}") from None


class UsersFile:
    """What the file says now. `run` reads it again when it changes."""

    def __init__(self, path: Path, *, only_hashed: bool = False) -> None:
        """Raises `BadUsers`."""
        self._path = path
        self._only_hashed = only_hashed
        self._seen = self._look()
        self.users = self._read()

    async def run(self) -> None:
        """A file that cannot be used any more is told, and the one before stays in force."""
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            if self._look() != self._seen:
                await self.read_again()

    async def read_again(self) -> None:
        self._seen = self._look()
        try:
            self.users = await trio.to_thread.run_sync(self._read)
            _log.info("%s was read again", self._path)
        except BadUsers as error:
            _log.error("what was read before stays in force: %s", error)

    def _look(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size, status.st_ctime_ns

    def _read(self) -> Users:
        try:
            with self._path.open("rb") as file:
                mode, data = os.fstat(file.fileno()).st_mode, file.read(_MOST_BYTES + 1)
            if len(data) > _MOST_BYTES:
                raise BadUsers(f"at most {_MOST_BYTES} bytes were expected")
            users = read_users(data.decode("utf-8-sig"), only_hashed=self._only_hashed)
        except OSError as error:
            raise BadUsers(f"-shiro_ini_path={self._path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise BadUsers(f"-shiro_ini_path={self._path}, byte {error.start}: UTF-8 was expected") from None
        except BadUsers as error:
            raise BadUsers(f"-shiro_ini_path={self._path}, {error}") from None
        if mode & 0o022:
            _log.warning("%s can be written by others than its owner: who does so may do everything", self._path)
        elif mode & 0o004:
            _log.warning("%s can be read by every user of this machine: chmod o-r is advised", self._path)
        return users
