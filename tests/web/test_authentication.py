"""Who makes a request, by its Authorization header (security sheet, sections 5 to 7)."""

from __future__ import annotations

import base64
import contextlib
import logging
from collections.abc import Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from aurorad import passwords
from aurorad.rules.permissions import parse
from aurorad.vars import Vars
from aurorad.web import authentication
from aurorad.web.authentication import (
    REMEMBERED_S,
    Authentication,
    BadHeader,
    Basic,
    Negotiate,
    TooBusy,
    WrongCredentials,
)
from aurorad.web.users import Users, read_users
from tests.light_hashes import light

HASH = light("apple")
USERS = read_users(f"[users]\nann = {HASH}, admin\nbob = pear\nweb = !, admin\nzoë = naïve\n[roles]\nadmin = *")


def token(text: str, encoding: str = "utf-8") -> str:
    return base64.b64encode(text.encode(encoding)).decode()


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were hashed to be compared."""
    seen: list[str] = []
    real = passwords.matches

    def matches(stored: str, password: str) -> bool:
        if passwords.is_hashed(stored):
            seen.append(password)
        return real(stored, password)

    monkeypatch.setattr(passwords, "matches", matches)
    return seen


@pytest.mark.parametrize(("scheme", "text"), [("Basic", "ann:apple"), ("BASIC", "bob:pear"), ("basic", "zoë:naïve")])
async def test_a_name_and_its_password_make_a_caller(scheme: str, text: str) -> None:
    authenticated = Authentication({"basic": Basic(lambda: USERS)}, lambda: USERS, Vars())
    caller = await authenticated.caller(f"{scheme} {token(text)}")
    assert (caller.name, caller.known) == (text.partition(":")[0], True)
    assert caller.permissions == ((parse("*"),) if caller.name == "ann" else ())


async def test_older_clients_write_latin_1() -> None:
    assert await Basic(lambda: USERS).user(token("zoë:naïve", "latin-1")) == "zoë"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!!",
        f"Basic {token('ann')}",
        f"Basic {token(':apple')}",
        f"Basic {token('ann:')}",
        f"Basic {token('ann:pear')}",
        f"Basic {token('Ann:apple')}",
        f"Basic {token('bob:apple')}",
        f"Basic {token('nobody:apple')}",
        f"Basic {token('web:!')}",
        f"Basic {token('web:apple')}",
        f"Basic {token('ann:' + HASH)}",
        f"Bearer {token('ann:apple')}",
        "Basic " + "A" * 100_000,
    ],
)
async def test_whatever_else_is_nobody_and_is_counted(header: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stats = Vars()
    authenticated = Authentication({"basic": Basic(lambda: USERS)}, lambda: USERS, stats)
    with pytest.raises(WrongCredentials):
        await authenticated.caller(header)
    assert stats.get("http_authentication_failures") == 1
    assert caplog.records == []


async def test_a_right_password_is_remembered_for_a_while(
    checked: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    basic = Basic(lambda: USERS)
    for _ in range(3):
        await basic.user(token("ann:apple"))
    assert checked == ["apple"]
    await trio.sleep(REMEMBERED_S + 1)
    await basic.user(token("ann:apple"))
    assert checked == ["apple"] * 2


async def test_who_keeps_calling_is_not_held_up_by_a_flood(
    checked: list[str], autojump_clock: trio.testing.MockClock
) -> None:
    basic = Basic(lambda: USERS)
    for _ in range(10):
        await basic.user(token("ann:apple"))
        await trio.sleep(REMEMBERED_S / 2)
    assert checked == ["apple"]


async def test_a_wrong_one_is_not(checked: list[str]) -> None:
    basic = Basic(lambda: USERS)
    for name in ("ann", "ann", "nobody"):
        with pytest.raises(WrongCredentials):
            await basic.user(token(f"{name}:pear"))
    assert checked == ["pear"] * 3  # whoever is not there takes as long


async def test_what_is_remembered_is_not_the_password() -> None:
    basic = Basic(lambda: USERS)
    await basic.user(token("ann:apple"))
    assert "apple" not in repr(vars(basic)["_remembered"])


async def test_when_the_file_changes_nothing_is_remembered() -> None:
    users = USERS
    basic = Basic(lambda: users)
    await basic.user(token("ann:apple"))
    users = read_users(f"[users]\nann = {light('cherry')}")
    with pytest.raises(WrongCredentials):
        await basic.user(token("ann:apple"))
    await basic.user(token("ann:cherry"))
    users = read_users(f"[users]\njoe = {HASH}")
    with pytest.raises(WrongCredentials):
        await basic.user(token("ann:cherry"))


async def test_no_more_are_remembered_than_there_is_room_for(
    checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "_MOST_REMEMBERED", 1)
    users = read_users(f"[users]\nann = {HASH}\nbob = {light('pear')}")
    basic = Basic(lambda: users)
    for text in ("ann:apple", "bob:pear", "bob:pear", "ann:apple"):
        await basic.user(token(text))
    assert checked == ["apple", "pear", "apple"]


async def test_callers_that_come_at_once_with_the_same_password_wait_for_one_check(checked: list[str]) -> None:
    basic = Basic(lambda: USERS)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(basic.user, token("ann:apple"))
    assert len(checked) <= 2


async def test_a_flood_of_wrong_passwords_holds_up_nobody_who_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "_MOST_WAITING", 4)
    basic = Basic(lambda: USERS)
    await basic.user(token("ann:apple"))
    outcomes: list[type[Exception]] = []

    async def guess(number: int) -> None:
        try:
            await basic.user(token(f"ann:{number}"))
        except (WrongCredentials, TooBusy) as error:
            outcomes.append(type(error))

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(guess, number)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(0.1):
            assert await basic.user(token("ann:apple")) == "ann"
            assert await basic.user(token("bob:pear")) == "bob"
    assert sorted(outcome.__name__ for outcome in outcomes) == ["TooBusy"] * 4 + ["WrongCredentials"] * 6


def negotiating(users: Callable[[], Users] = lambda: USERS) -> Authentication:
    async def user_of(ticket: bytes) -> str:
        if not ticket.startswith(b"ticket of "):
            raise WrongCredentials
        return ticket[10:].decode()

    return Authentication({"negotiate": Negotiate(user_of), "basic": Basic(users)}, users, Vars())


async def test_who_has_a_ticket_may_what_the_file_says_whatever_password_it_has_there() -> None:
    caller = await negotiating().caller(f"Negotiate {token('ticket of web')}")
    assert (caller.name, caller.permissions) == ("web", (parse("*"),))
    caller = await negotiating().caller(f"Negotiate {token('ticket of stranger')}")
    assert (caller.name, caller.permissions, caller.known) == ("stranger", (), True)


@pytest.mark.parametrize("header", ["Negotiate", "Negotiate ", "Negotiate !", "Negotiate  AAAA", "Negotiate AAAA AAAA"])
async def test_a_header_without_a_token_is_malformed(header: str) -> None:
    with pytest.raises(BadHeader, match="Negotiate and a token in base64"):
        await negotiating().caller(header)


async def test_a_token_that_is_no_ticket_is_nobodys() -> None:
    with pytest.raises(WrongCredentials):
        await negotiating().caller(f"Negotiate {token('nothing')}")


async def test_there_may_be_several_ways() -> None:
    both = negotiating()
    assert both.challenges == ["Negotiate", 'BASIC realm="Apache Aurora Scheduler"']
    assert (await both.caller(f"Basic {token('ann:apple')}")).name == "ann"


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: "Basic " + base64.b64encode(data).decode()))
def test_any_header_is_a_callers_or_is_refused(header: str) -> None:
    async def ask() -> None:
        with contextlib.suppress(WrongCredentials, BadHeader):
            assert (await negotiating().caller(header)).known

    trio.run(ask)
