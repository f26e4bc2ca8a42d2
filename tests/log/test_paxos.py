"""Members together, on a network that is well unless a test says otherwise."""

from __future__ import annotations

import random

import pytest

from aurorad.log.messages import (
    NOBODY,
    Fetch,
    Metadata,
    Peer,
    Promise,
    Status,
    Stored,
)
from aurorad.log.paxos import Confirmed, Elected, ElectionFailed, Lost, Member, NotLeading
from tests.log.network import Faults, alive, all_equal, cluster, lead, write

# --- Leading ---


def test_what_is_written_is_learned_by_all_at_once() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    network.append(leader, 100)
    network.run(0.05)
    assert len(network.acknowledged) == 100
    assert all_equal(network)


def test_a_log_with_a_quorum_of_one_needs_nobody() -> None:
    network = cluster(1, size=1)
    write(network, lead(network), 10)


def test_many_writes_may_be_in_flight() -> None:
    network = cluster(1, faults=Faults(delay_s=0.2, sync_s=0.1))
    leader = lead(network, "a")
    for _ in range(100):
        network.append(leader, 3)
    network.run(1.5)
    assert len(network.acknowledged) == 300


def test_a_new_leader_has_all_that_was_acknowledged() -> None:
    network = cluster(1)
    for address in "abcab":
        write(network, lead(network, address), 10)
    assert all_equal(network)
    assert len(network.acknowledged) == 50


def test_a_deposed_leader_is_told_and_cannot_write() -> None:
    network = cluster(1)
    old = lead(network, "a")
    lead(network, "b")
    network.run(1.0)
    assert any(isinstance(event, Lost) and event.why.startswith("Exclusive write promise lost") for event in old.events)
    with pytest.raises(NotLeading):
        alive(old).append(network.now, [b"x"])
    with pytest.raises(NotLeading):
        alive(old).confirm(network.now)


def test_a_leader_cut_off_acknowledges_and_confirms_nothing() -> None:
    network = cluster(1)
    old = lead(network, "a")
    network.cut |= {("a", "b"), ("a", "c")}
    network.append(old, 1)
    network.confirm(old)
    write(network, lead(network, "b"), 5)
    assert not any(isinstance(event, Confirmed) for event in old.events[-1:])
    network.run(3.0)
    assert Lost("No quorum took a write within 3 s", timed_out=True) in old.events
    network.cut.clear()
    network.run(2.0)
    assert all_equal(network)


def test_a_leader_cut_off_makes_room_though_it_has_nothing_to_write() -> None:
    network = cluster(1)
    old = lead(network, "a")
    network.cut |= {("a", "b"), ("a", "c")}
    network.run(4.0)
    assert Lost("No quorum answered for 3 s", timed_out=True) in old.events


def test_what_was_in_flight_when_a_leader_died_is_in_the_log_of_all_or_none() -> None:
    network = cluster(1)
    old = lead(network, "a")
    network.cut |= {("a", "c")}
    network.append(old, 1)
    network.run(0.01)
    old.crash()
    network.cut.clear()
    lead(network, "c")
    old.start()
    network.run(2.0)
    assert all_equal(network)


def test_of_two_who_stand_at_once_one_leads() -> None:
    network = cluster(1)
    network.elect("a")
    network.elect("b")
    network.run(5.0)
    assert sum(alive(node).leads for node in network.nodes.values()) == 1


def test_nobody_is_asked_for_a_promise_before_ones_own_is_durable() -> None:
    """Else, after a crash, the same proposal could be used for something else."""
    member = Member("a", "c", 2, Stored(Status.VOTING, 5), random.Random(1))
    member.members(0.0, {"b": Peer(6, 2)})
    member.elect(0.0)
    out = member.take()
    assert out.sendings == []
    assert out.records == [Metadata(Status.VOTING, 5, (1, 5))]
    member.durable(0.0, out.ticket)
    assert [sending.message for sending in member.take().sendings] == [Promise((1, 5), 2, NOBODY, 0)]


def test_without_a_quorum_nobody_is_elected() -> None:
    network = cluster(1)
    network.nodes["b"].crash()
    network.nodes["c"].crash()
    network.elect("a")
    network.run(6.0)
    assert network.nodes["a"].events == [ElectionFailed("no quorum of 2 promised: a did")]


def test_a_leader_confirms_that_it_leads() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    member = alive(leader)
    tokens = [member.confirm(network.now) for _ in range(3)]
    leader.work()
    network.run(0.1)
    assert max(event.token for event in leader.events if isinstance(event, Confirmed)) >= max(tokens)


def test_confirmations_share_a_beat() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    member = alive(leader)
    member.confirm(network.now)
    assert len({member.confirm(network.now) for _ in range(9)}) == 1


def test_nothing_is_acknowledged_before_it_is_durable_here() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    network.run(1.0)
    leader.syncing = True  # its disk does not answer any more
    network.append(leader, 1)
    network.run(2.0)
    assert network.acknowledged == {}
    leader._sync()
    network.run(0.1)
    assert len(network.acknowledged) == 1


# --- Catching up ---


def test_what_was_lost_on_the_way_is_sent_again() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    network.cut |= {("a", "c")}
    write(network, leader, 10)
    network.cut.clear()
    network.run(1.0)
    assert all_equal(network)
    assert network.nodes["c"].events == []


def test_a_member_that_was_away_for_long_reads_from_disks() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    network.nodes["c"].crash()
    for _ in range(30):
        network.append(leader, 500)
        network.run(0.02)
    network.nodes["c"].start()
    network.run(30.0)
    assert all_equal(network)
    assert alive(leader).end > 15000


def test_a_member_learns_while_others_write_on() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    network.nodes["c"].crash()
    write(network, leader, 3000)
    network.nodes["c"].start()
    for _ in range(200):
        network.append(leader, 5)
        network.run(0.01)
    network.run(1.0)
    assert all_equal(network)


def test_a_member_that_missed_a_truncation_begins_anew() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    network.nodes["c"].crash()
    for _ in range(20):
        write(network, leader, 1000)
    alive(leader).truncate(network.now, 15000)
    leader.work()
    network.run(0.5)
    assert alive(leader).begin == 15000
    network.nodes["c"].start()
    network.run(10.0)
    assert alive(network.nodes["c"]).begin == 15000
    assert all_equal(network)


def test_members_that_fetch_from_one_that_forgets_meanwhile_get_there() -> None:
    member = Member("a", "c", 2, Stored(Status.VOTING, 5, NOBODY, 10, 20, NOBODY, 20), random.Random(1))
    member.receive(0.0, "b", Fetch(3))
    assert member.take().fetches == [("b", 3)]
    told = member.fetched(10, [b"x"] * 30)
    assert (told.begin, told.first, len(told.values)) == (10, 10, 10)


def test_a_member_without_room_takes_nothing_and_is_not_needed() -> None:
    network = cluster(1)
    leader = lead(network, "a")
    network.run(1.0)
    full = alive(network.nodes["c"])
    full.room = False
    write(network, leader, 5)
    assert full.end == alive(leader).end - 5
    assert full.unfit() == "Its disk has no room for the log"
    full.room = True
    network.run(2.0)
    assert all_equal(network)


def test_elected_is_told_with_all_that_was_before() -> None:
    network = cluster(1)
    write(network, lead(network, "a"), 10)
    node = lead(network, "b")
    (elected,) = [event for event in node.events if isinstance(event, Elected)]
    assert elected.end == alive(node).learned_to == node.paper.end
