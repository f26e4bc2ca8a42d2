"""The wildcard grammar (security sheet, section 3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.rules.permissions import ANONYMOUS, ANYBODY, EVERYTHING, BadPermission, Caller, Permission, parse, single

MANAGER, ADMIN = "thrift.AuroraSchedulerManager", "thrift.AuroraAdmin"

WORDS = st.text(st.characters(exclude_characters=":,*", exclude_categories=["Z", "C"]), min_size=1, max_size=5)
PARTS = st.sets(WORDS | st.just("*"), min_size=1, max_size=3).map(",".join)
PERMISSIONS = st.lists(PARTS, min_size=1, max_size=5).map(":".join).map(parse)
SINGLES = st.lists(WORDS, min_size=1, max_size=5).map(lambda words: single(*words))


@pytest.mark.parametrize(
    ("granted", "asked", "covers"),
    [
        ("*", (MANAGER, "killTasks", "ads", "prod", "web"), True),
        ("*", (ADMIN, "setQuota"), True),
        (MANAGER, (MANAGER, "killTasks", "ads", "prod", "web"), True),
        (f"{MANAGER}:*", (MANAGER, "killTasks", "ads", "prod", "web"), True),
        (f"{MANAGER}:*", (ADMIN, "setQuota"), False),
        (f"{MANAGER}:*:webapp", (MANAGER, "createJob", "webapp", "prod", "web"), True),
        (f"{MANAGER}:*:webapp", (MANAGER, "createJob", "webapp2", "prod", "web"), False),
        (f"{MANAGER}:killTasks:ads:staging:job", (MANAGER, "killTasks", "ads", "staging", "job"), True),
        (f"{MANAGER}:killTasks:ads:staging:job", (MANAGER, "killTasks", "ads", "staging", "job2"), False),
        (f"{MANAGER}:killTasks:ads:staging:job", (MANAGER, "createJob", "ads", "staging", "job"), False),
        (f"{MANAGER}:killTasks,restartShards:*:prod", (MANAGER, "restartShards", "any", "prod", "job"), True),
        (f"{MANAGER}:killTasks,restartShards:*:prod", (MANAGER, "restartShards", "any", "test", "job"), False),
        (f"{MANAGER}:killTasks,restartShards:*:prod", (MANAGER, "createJob", "any", "prod", "job"), False),
        (f"{ADMIN}:setQuota", (ADMIN, "setQuota"), True),
        (f"{ADMIN}:setQuota", (ADMIN, "drainHosts"), False),
        # more parts than were asked for
        (f"{ADMIN}:setQuota:*", (ADMIN, "setQuota"), True),
        (f"{ADMIN}:setQuota:*:a,*", (ADMIN, "setQuota"), True),
        (f"{ADMIN}:setQuota:*:a", (ADMIN, "setQuota"), False),
        # case does not matter, surrounding space neither, space within does
        (f" {MANAGER.upper()}:KILLTASKS:Ads ", (MANAGER, "killTasks", "aDS", "prod", "web"), True),
        (f"{MANAGER}: killTasks", (MANAGER, "killTasks", "ads", "prod", "web"), False),
        # no patterns but the one
        (f"{MANAGER}:kill*", (MANAGER, "killTasks", "ads", "prod", "web"), False),
        (f"{MANAGER}:*:web.app", (MANAGER, "killTasks", "webxapp", "prod", "web"), False),
    ],
)
def test_what_is_granted_covers_what_is_beneath_it(granted: str, asked: tuple[str, ...], covers: bool) -> None:
    assert parse(granted).covers(single(*asked)) is covers


@pytest.mark.parametrize("text", ["", " ", ":", "a:", ":a", "a::b", "a,:b", ",a", "a:b,,c"])
def test_a_part_or_an_alternative_without_anything_is_refused(text: str) -> None:
    with pytest.raises(BadPermission, match="is no permission"):
        parse(text)


@given(PERMISSIONS)
def test_a_permission_covers_itself_and_is_covered_by_all(permission: Permission) -> None:
    assert permission.covers(permission)
    assert EVERYTHING.covers(permission)
    assert parse(str(permission)) == permission


@given(PERMISSIONS, PERMISSIONS, PERMISSIONS)
def test_what_covers_more_covers_less(high: Permission, middle: Permission, low: Permission) -> None:
    if high.covers(middle) and middle.covers(low):
        assert high.covers(low)


@given(PERMISSIONS, SINGLES)
def test_it_is_as_if_every_alternative_were_granted_by_itself(granted: Permission, asked: Permission) -> None:
    def one_by_one(depth: int) -> bool:
        if depth == len(granted.parts):
            return True
        if depth >= len(asked.parts):
            return "*" in granted.parts[depth] and one_by_one(depth + 1)
        (word,) = asked.parts[depth]
        return any(alternative in ("*", word) for alternative in granted.parts[depth]) and one_by_one(depth + 1)

    assert granted.covers(asked) is one_by_one(0)


@given(SINGLES, st.lists(WORDS, min_size=1, max_size=3))
def test_who_may_one_thing_may_not_what_is_above_it(granted: Permission, below: list[str]) -> None:
    deeper = Permission(granted.parts + single(*below).parts)
    assert granted.covers(deeper)
    assert not deeper.covers(granted)


def test_what_is_asked_for_is_taken_as_it_is() -> None:
    assert not parse("a:b").covers(single("a", "*"))
    assert not parse("a:b,c").covers(single("a", "b,c"))


def test_any_of_a_callers_permissions_is_enough() -> None:
    caller = Caller("ann", (parse("a:b"), parse("c")))
    assert caller.may(single("c", "d"))
    assert not caller.may(single("a", "d"))


def test_whoever_is_not_asked_may_all_and_whoever_did_not_say_nothing() -> None:
    assert ANYBODY.may(single("a"))
    assert (ANYBODY.known, ANONYMOUS.known) == (True, False)
    assert not ANONYMOUS.may(single("a"))
