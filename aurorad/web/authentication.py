"""Who makes a request, by its ``Authorization`` header (security sheet, sections 5 to 7).

Stateless: no session, no cookie. A caller who has proved who it is may do what the file of users and roles says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import trio

from aurorad import passwords
from aurorad.rules.permissions import Caller
from aurorad.vars import Vars
from aurorad.web.users import NO_PASSWORD, Users

REALM = "Apache Aurora Scheduler"

REMEMBERED_S = 300.0
"""So long after it was last used a password that was right is not hashed again."""
_MOST_REMEMBERED = 1000
_CHECKS_AT_ONCE = 2
"""Each takes a processor, and 64 MB."""
_MOST_WAITING = 50
_LONGEST_HEADER = 64 << 10


class WrongCredentials(Exception):
    """Whoever it is has not proved it."""


class BadHeader(Exception):
    """The header is not of the form that was expected: a text says which."""


class TooBusy(Exception):
    """Too many wait for their passwords to be checked."""


class Mechanism(Protocol):
    """One way to prove who one is."""

    @property
    def challenge(self) -> str:
        """What ``WWW-Authenticate`` asks for."""
        ...

    async def user(self, token: str) -> str:
        """The name of who sent the token. Raises `WrongCredentials`, `BadHeader` and `TooBusy`."""
        ...


class Authentication:
    """The ways there are, by the scheme of each in lower case, and what those who come by them may do."""

    def __init__(self, mechanisms: Mapping[str, Mechanism], users: Callable[[], Users], stats: Vars) -> None:
        self._mechanisms = mechanisms
        self._users = users
        self._stats = stats
        stats.declare("http_authentication_failures")

    @property
    def challenges(self) -> list[str]:
        return [mechanism.challenge for mechanism in self._mechanisms.values()]

    async def caller(self, authorization: str) -> Caller:
        """Raises `WrongCredentials`, `BadHeader` and `TooBusy`."""
        scheme, _, token = authorization.partition(" ")
        mechanism = self._mechanisms.get(scheme.lower())
        try:
            if mechanism is None or len(token) > _LONGEST_HEADER:
                raise WrongCredentials
            return self.named(await mechanism.user(token))
        except (WrongCredentials, BadHeader):
            self._stats.count("http_authentication_failures")
            raise

    def named(self, name: str) -> Caller:
        """Somebody of whom it is known who it is."""
        return Caller(name, self._users().permissions(name))


class Basic:
    """A name and a password, checked against the file of users.

    Passwords are hashed in threads, a few at a time, and one that was right is remembered for a while by a keyed hash.
    A flood of wrong ones holds up others who are not remembered, but neither those who are, nor the loop.
    """

    challenge = f'BASIC realm="{REALM}"'

    def __init__(self, users: Callable[[], Users]) -> None:
        self._users = users
        self._limiter = trio.CapacityLimiter(_CHECKS_AT_ONCE)
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, float] = OrderedDict()  # and until when, on Trio's clock
        self._remembered_of: Users | None = None
        self._unknown = _Unknown()

    async def user(self, token: str) -> str:
        name, password = _pair(token)
        users = self._users()
        user = users.users.get(name)
        stored = user.password if user is not None and user.password != NO_PASSWORD else self._unknown.stored(users)
        if not passwords.is_hashed(stored):
            right = passwords.matches(stored, password)
        else:
            right = await self._hashed(users, name, password, stored)
        if user is None or user.password == NO_PASSWORD or not right:
            raise WrongCredentials
        return name

    async def _hashed(self, users: Users, name: str, password: str, stored: str) -> bool:
        known_by = hashlib.blake2b(f"{name}\0{password}".encode(errors="surrogatepass"), key=self._key).digest()
        if self._remembers(users, known_by):
            return True
        if self._limiter.statistics().tasks_waiting >= _MOST_WAITING:
            raise TooBusy
        async with self._limiter:
            if self._remembers(users, known_by):  # by another request of the same caller, meanwhile
                return True
            right = await trio.to_thread.run_sync(passwords.matches, stored, password)
        if right and name in users.users and self._remembered_of is users:
            self._remember(known_by)
            if len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return right

    def _remembers(self, users: Users, known_by: bytes) -> bool:
        if self._remembered_of is not users:
            self._remembered.clear()
            self._remembered_of = users
        until = self._remembered.get(known_by)
        if until is None or until < trio.current_time():
            self._remembered.pop(known_by, None)
            return False
        self._remember(known_by)
        return True

    def _remember(self, known_by: bytes) -> None:
        self._remembered[known_by] = trio.current_time() + REMEMBERED_S
        self._remembered.move_to_end(known_by)


class _Unknown:
    """What the password of somebody who is not there is compared with: it shall take no less time than others'."""

    def __init__(self) -> None:
        self._for: Users | None = None
        self._stored = ""

    def stored(self, users: Users) -> str:
        if self._for is not users:
            self._for = users
            hashes = (user.password for user in users.users.values() if passwords.is_hashed(user.password))
            self._stored = next(hashes, secrets.token_hex())
        return self._stored


def _pair(token: str) -> tuple[str, str]:
    try:
        decoded = base64.b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise WrongCredentials from None
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        text = decoded.decode("latin-1")
    name, colon, password = text.partition(":")
    if not colon or not name:
        raise WrongCredentials
    return name, password


class Negotiate:
    """A ticket of Kerberos, in one step. `user_of` says whose it is, or raises `WrongCredentials` or `TooBusy`."""

    challenge = "Negotiate"

    def __init__(self, user_of: Callable[[bytes], Awaitable[str]]) -> None:
        self._user_of = user_of

    async def user(self, token: str) -> str:
        try:
            ticket = base64.b64decode(token, validate=True)
        except (binascii.Error, ValueError):
            ticket = b""
        if not ticket:
            raise BadHeader("Authorization: Negotiate and a token in base64 were expected")
        return await self._user_of(ticket)
