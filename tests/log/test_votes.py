"""Who votes: members that are new, lost, replaced, too many or old, and how a log begins."""

from __future__ import annotations

import copy
import random

from aurorad.log.messages import (
    Begin,
    Forgotten,
    Known,
    Metadata,
    Peer,
    Status,
    Stored,
    Wrote,
)
from aurorad.log.paxos import Distrusted, ElectionFailed, Member, Unfit
from tests.log.network import Network, alive, all_equal, cluster, lead, write
from tests.log.paper import Paper, initialized


def test_a_lost_disk_is_another_member_that_votes_once_the_log_names_it() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    write(network, leader, 50)
    node = network.nodes["c"]
    before = alive(node).member
    node.crash()
    node.paper = Paper()
    node.start()
    assert alive(node).status is Status.EMPTY
    assert "aurorad log initialize" in (alive(node).unfit() or "")
    network.run(8.0)
    assert alive(node).status is Status.VOTING
    assert alive(node).member != before
    placed = leader.paper.placed().configuration
    assert placed is not None
    assert dict(placed.members)[alive(node).member] == "c"
    assert before not in placed.ids
    network.nodes["b"].crash()
    write(network, leader, 5)


def test_without_a_leader_a_lost_disk_stays_without_a_vote() -> None:
    network = cluster(1)
    write(network, lead(network, "a"), 5)
    for address in "ac":
        network.nodes[address].crash()
    network.nodes["c"].paper = Paper()
    network.nodes["c"].start()
    network.elect("b")
    network.run(6.0)
    events = network.nodes["b"].events
    assert events[-1] == ElectionFailed("no quorum of 2 promised: b did; c does not: it is EMPTY")
    assert alive(network.nodes["c"]).status is Status.EMPTY


def test_a_host_may_be_replaced_by_another() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    network.nodes.pop("c").crash()
    new = network.add("d", 2)
    network.run(2.0)
    assert alive(new).status is Status.RECOVERING  # c may come back
    network.run(8.0)
    assert alive(new).status is Status.VOTING
    network.nodes["b"].crash()
    write(network, leader, 5)
    network.nodes["b"].start()
    leader.crash()
    write(network, lead(network, "d"), 5)


def test_a_member_too_many_gets_no_vote_and_keeps_others_from_standing() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    extra = network.add("d", 2)
    network.run(10.0)
    assert alive(extra).status is Status.RECOVERING
    write(network, leader, 5)
    network.elect("b")
    network.run(1.0)
    why = "-native_log_quorum_size=2 is no majority of the 4 members seen: a, b, c, d"
    assert network.nodes["b"].events == [Unfit(why)]
    assert alive(leader).leads


def test_another_quorum_is_refused_and_changes_nothing() -> None:
    network = cluster(1)
    write(network, lead(network, "a"), 5)
    node = network.nodes["b"]
    node.crash()
    node.quorum = 1
    node.start()
    network.run(1.0)
    end = alive(node).end
    network.elect("b")
    network.run(1.0)
    assert isinstance(node.events[-1], Unfit)
    network.nodes["a"].crash()
    network.nodes["c"].crash()
    network.run(1.0)
    network.elect("b")
    network.run(1.0)
    why = "-native_log_quorum_size=1, but the log says 2, and it can only be raised"
    assert node.events[-1] == Unfit(why)
    assert alive(node).end == end


def test_from_three_members_to_five_as_documented() -> None:
    network = cluster(1)
    write(network, lead(network, "a"), 20)
    for address in "bca":  # raise the flag, one after the other
        node = network.nodes[address]
        node.crash()
        node.quorum = 3
        node.start()
        network.run(1.0)
    leader = lead(network, "b")
    placed = leader.paper.placed().configuration
    assert placed is not None
    assert (placed.quorum, len(placed.members)) == (3, 3)
    network.add("d", 3)
    network.add("e", 3)
    network.run(5.0)
    assert all(alive(node).status is Status.VOTING for node in network.nodes.values())
    network.nodes["a"].crash()
    network.nodes["c"].crash()
    write(network, leader, 20)
    leader.crash()
    network.nodes["a"].start()
    network.run(1.0)
    write(network, lead(network, "d"), 20)


def test_a_new_member_does_not_vote_while_the_old_quorum_counts() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    for address in "bc":
        node = network.nodes[address]
        node.crash()
        node.quorum = 3
        node.start()
    new = network.add("d", 3)
    network.run(10.0)
    write(network, leader, 5)
    assert alive(new).status is Status.RECOVERING


def test_an_old_disk_is_noticed_and_recovers_like_a_lost_one() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    write(network, leader, 10)
    node = network.nodes["c"]
    old = copy.deepcopy(node.paper)
    write(network, leader, 10)
    before = alive(node).member
    node.crash()
    node.paper = old
    network.cut |= {("a", "c")}
    node.start()
    network.run(1.0)
    network.cut.clear()
    network.run(5.0)
    assert alive(node).member != before
    assert alive(node).status is Status.VOTING
    assert all_equal(network)


def test_who_is_told_to_forget_by_a_deposed_leader_does_not() -> None:
    member = Member("a", "c", 2, Stored(Status.VOTING, 5, (3, 1)), random.Random(1))
    member.receive(0.0, "b", Forgotten((2, 2), 5))
    assert member.member == 5
    member.receive(0.0, "b", Forgotten((3, 2), 6))
    assert member.member == 5
    assert member.take().events == []
    member.receive(0.0, "b", Forgotten((3, 2), 5))
    assert member.member != 5
    assert member.take().events == [Distrusted("b")]


def test_two_members_with_one_journal_refuse_to_lead() -> None:
    network = cluster(1)
    network.nodes["b"].crash()
    network.nodes["b"].paper = copy.deepcopy(network.nodes["a"].paper)
    network.nodes["b"].start()
    network.run(1.0)
    assert alive(network.nodes["a"]).unfit() == "a and b have the same journal: one is a copy of the other, and must go"
    assert alive(network.nodes["c"]).unfit() is not None


def test_journals_copied_before_their_first_start_are_different_members() -> None:
    restored = Paper()
    far = 10**15
    restored.write([Metadata(Status.VOTING, 0, (1, 0)), Begin(far), Wrote((1, 0), far, [b"x"] * 20), Known(far + 20)])
    network = Network(1)
    for address in "ab":
        network.add(address, 2, copy.deepcopy(restored))
    network.add("c", 2)
    network.run(0.5)
    leader = lead(network, "a")
    write(network, leader, 5)
    network.run(5.0)
    assert [alive(node).status for node in network.nodes.values()] == [Status.VOTING] * 3
    assert all_equal(network)
    assert alive(network.nodes["c"]).begin == far


# --- Beginning ---


def test_empty_members_stay_empty() -> None:
    network = Network(1)
    for address in "abc":
        network.add(address, 2)
    network.elect("a")
    network.run(20.0)
    assert all(alive(node).status is Status.EMPTY for node in network.nodes.values())
    assert isinstance(network.nodes["a"].events[0], Unfit)


def test_one_initialized_member_alone_is_no_log() -> None:
    network = Network(1)
    network.add("a", 2, initialized())
    network.add("b", 2)
    network.elect("a")
    network.run(6.0)
    assert isinstance(network.nodes["a"].events[-1], ElectionFailed)
    assert alive(network.nodes["b"]).status is Status.EMPTY


def test_disks_initialized_by_mistake_do_not_outvote_one_who_knows_the_log() -> None:
    network = cluster(1)
    write(network, lead(network, "a"), 5)
    for address in "bc":
        node = network.nodes[address]
        node.crash()
        node.paper = initialized()
        node.start()
    network.nodes["a"].crash()
    network.nodes["a"].start()
    network.run(1.0)
    network.cut |= {("a", "b"), ("a", "c")}
    network.elect("b")
    network.run(6.0)
    assert network.nodes["b"].events == [ElectionFailed("the log is new, and a did not answer")]
    network.cut.clear()
    network.elect("b")
    network.run(6.0)
    assert isinstance(network.nodes["b"].events[-1], Unfit | ElectionFailed)


def test_two_initialized_members_take_in_a_third() -> None:
    network = Network(1)
    for address in "ab":
        network.add(address, 2, initialized())
    network.add("c", 2)
    network.run(0.5)
    leader = lead(network, "a")
    network.run(3.0)
    assert alive(network.nodes["c"]).status is Status.VOTING
    network.nodes["b"].crash()
    write(network, leader, 5)


def test_members_that_initialize_themselves_wait_for_all() -> None:
    members = {address: Member(address, "c", 2, Stored(), random.Random(address), initialize=True) for address in "abc"}
    seen: dict[str, set[Status]] = {address: set() for address in members}
    now = 0.0

    def pump(present: str) -> None:
        for address in present:
            peers = {other: Peer(members[other].member, 2) for other in present if other != address}
            members[address].members(now, peers)
            members[address].tick(now)
        busy = True
        while busy:
            busy = False
            for address in present:
                out = members[address].take()
                seen[address].add(members[address].status)
                if out.ticket:
                    members[address].durable(now, out.ticket)
                    busy = True
                for to, message in out.sendings:
                    busy = True
                    for other in to:
                        members[other].receive(now, address, message)

    for now in range(5):  # noqa: B007  # pump reads it
        pump("ab")
    assert {member.status for member in members.values()} == {Status.EMPTY}
    for now in range(5, 12):  # noqa: B007
        pump("abc")
    assert {member.status for member in members.values()} == {Status.VOTING}
    assert all(Status.STARTING in statuses for statuses in seen.values())
