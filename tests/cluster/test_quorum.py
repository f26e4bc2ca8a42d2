"""The number of members: changed as documented, and refused in words where it would be dangerous."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.cluster.agreement import disagreements
from tests.cluster.calls import create, jobs
from tests.cluster.schedulers import Scheduler, Site, site
from tests.e2e.cluster import eventually


@pytest.fixture
def them(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, "-native_log_initialize") as started:
        started.start()
        yield started


def restart_with(scheduler: Scheduler, quorum: int) -> None:
    scheduler.stop()
    assert scheduler.endings[-1] == 0, scheduler.tail()
    set_quorum(scheduler, quorum)
    scheduler.start()


def set_quorum(scheduler: Scheduler, quorum: int) -> None:
    (at,) = [n for n, flag in enumerate(scheduler.flags) if flag.startswith("-native_log_quorum_size=")]
    scheduler.flags[at] = f"-native_log_quorum_size={quorum}"


def say_why(schedulers: Sequence[Scheduler], *words: str) -> None:
    """In the log, /health and /vars of each of them: why they cannot lead."""
    for one in schedulers:

        def told(one: Scheduler = one) -> bool:
            reason = str(one.variables().get("scheduler_unfit_to_lead_because", ""))
            return all(word in reason and word in one.get("/health") and word in one.written() for word in words)

        try:
            eventually(f"{one.name} says {words}", told, 40.0)
        except AssertionError as late:
            reason = one.variables().get("scheduler_unfit_to_lead_because")
            raise AssertionError(f"{late}; but {reason!r}, {one.get('/health')!r}\n{one.tail()}") from None


def test_from_three_members_to_five(them: Site) -> None:
    leader = them.settle()
    assert create(leader, "before")
    for one in [*them.followers(), leader]:  # one after the other, the leader last
        restart_with(one, 3)
        eventually("it serves", lambda one=one: one.status_of("/health") == 200)  # type: ignore[misc]
    leader = them.settle()
    assert create(leader, "between")
    for _ in range(2):
        new = them.add()
        new.flags.remove("-native_log_initialize")
        set_quorum(new, 3)
        new.start()
    leader = them.settle(120.0)
    assert create(leader, "after")
    voting = [one for one in them.schedulers if one.variables()["log/recovered"] == 1]
    assert len(voting) == 5

    for one in [leader, them.followers()[0]]:  # any two may be gone now
        one.stop(signal.SIGKILL)
    left = [one for one in them.schedulers if one.runs]
    second = eventually("one of those left leads", lambda: next((one for one in left if one.leads()), None), 60.0)
    assert jobs(second) == {"before", "between", "after"}
    assert create(second, "last")


def test_a_quorum_that_is_no_majority_is_refused_and_nothing_is_harmed(them: Site) -> None:
    leader = them.settle()
    assert create(leader, "before")
    for one in them.schedulers:
        one.stop()
    for one in them.schedulers:
        set_quorum(one, 1)
    them.start()
    say_why(them.schedulers, "quorum")
    assert them.leading() is None
    for one in them.schedulers:
        one.stop()
        set_quorum(one, 2)
    them.start()
    leader = them.settle()
    assert jobs(leader) == {"before"}
    assert create(leader, "after")
    them.settle()
    for one in them.schedulers:
        one.stop(signal.SIGKILL)
    assert [text for text in disagreements(them.schedulers) if " at " in text] == []


def test_members_too_many_for_their_quorum_do_not_lead(them: Site) -> None:
    leader = them.settle()
    assert create(leader, "before")
    new = them.add()
    new.flags.remove("-native_log_initialize")
    new.start()
    eventually("the new one is there", lambda: new.status_of("/health") == 200, 60.0)
    for one in them.schedulers[:3]:
        one.kill()
    say_why(them.schedulers[:3], "quorum")
    assert them.leading() is None
    new.stop()
    them.schedulers.remove(new)
    leader = them.settle()
    assert jobs(leader) == {"before"}
