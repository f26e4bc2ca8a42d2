"""Members and their number: mistakes are refused in words and harm nothing; the documented way harms nobody."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from tests.cluster.conftest import initialize
from tests.cluster.ledger import Ledger, adding
from tests.cluster.schedulers import Scheduler, Site, site
from tests.e2e.cluster import eventually


def unfit(one: Scheduler, why: str) -> None:
    """It says why it cannot lead: in log, health and statistics."""
    eventually(
        f"{one.name} says: {why}", lambda: why in str(one.variables().get("scheduler_unfit_to_lead_because")), 60
    )
    values = one.variables()
    assert values["scheduler_fit_to_lead"] == 0
    assert why in str(values["scheduler_log_native_unfit"])
    assert one.status_of("/health") == 200
    assert f"This scheduler cannot lead: {why[:50]}" in one.get("/health")
    eventually("the log says so", lambda: f"this scheduler cannot lead: {why}" in one.written())


def fit(one: Scheduler) -> None:
    eventually(f"{one.name} is fit", one.is_fit, 60)
    assert one.get("/health") == "OK\n"


def address(one: Scheduler) -> str:
    return f"{one.machine.address}:8083"


def test_a_wrong_quorum_on_one_member_is_told_and_the_others_go_on(ledger: Ledger) -> None:
    """Also when their leader dies: the two that are right are a quorum."""
    ledger.add()
    wrong, other = ledger.site.followers()
    wrong.stop()
    wrong.set("native_log_quorum_size", 3)
    wrong.start()
    unfit(wrong, "-native_log_quorum_size=3 here, but ")
    ledger.add()
    leader = ledger.site.leader()
    leader.stop(signal.SIGKILL)
    leader.start()
    eventually("one leads again", ledger.site.leading, 60)
    ledger.add()
    ledger.check(ledger.site.leader())
    fit(other)
    wrong.stop()
    wrong.set("native_log_quorum_size", 2)


def learns(one: Scheduler) -> bool:
    return one.variables().get("log/recovered") == 0


def test_with_more_members_than_a_quorum_is_made_for_nobody_new_leads(ledger: Ledger) -> None:
    """Who leads goes on: it takes a second leader for two quorums to miss each other."""
    ledger.add()
    leader, followers = ledger.site.leader(), ledger.site.followers()
    more = [ledger.site.add(), ledger.site.add()]
    for one in more:
        one.start()
    for one in followers:
        unfit(one, "-native_log_quorum_size=2 is no majority of the 5 members seen: ")
    for one in more:
        eventually(f"{one.name} learns, without a vote", partial(learns, one))
    ledger.add()
    leader.stop()
    for one in followers:
        unfit(one, "-native_log_quorum_size=2 is no majority of the 4 members seen: ")
    assert ledger.site.leading() is None
    for one in more:
        one.stop()
        ledger.site.schedulers.remove(one)
    ledger.check(ledger.site.leader())
    leader.start()
    ledger.site.settle()


def test_from_three_members_to_five_while_users_write(tmp_path: Path) -> None:
    with site(tmp_path, zookeepers=1) as them:
        for one in them.schedulers:
            initialize(one.log_folder)
        them.start()
        them.settle()
        ledger = Ledger(them)
        with adding(ledger):
            raise_the_quorum(them)
            for _ in range(2):
                more = them.add()
                more.set("native_log_quorum_size", 3)
                more.start()
            them.settle()
        ledger.check(them.leader())
        leader, *others = them.leader(), *them.followers()
        others[0].stop(signal.SIGKILL)
        leader.stop(signal.SIGKILL)
        ledger.check_with(others[1:])


def raise_the_quorum(them: Site) -> None:
    """One after the other, those that follow first."""
    for one in [*them.followers(), them.leader()]:
        one.stop()
        one.set("native_log_quorum_size", 3)
        one.start()
        eventually(f"{one.name} serves", partial(one.status_of, "/vars"), 60)
    them.settle()
