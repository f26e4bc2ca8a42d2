"""What can happen to a site. Each fault begins, is there for a while, and is healed; a new one is one function here."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Mapping

from tests.cluster.network import cut
from tests.cluster.schedulers import SESSION_S, Scheduler, Site

Heal = Callable[[], None]
Fault = Callable[[Site, Scheduler, random.Random], Heal]
"""Given who leads. Network is healed by whoever calls."""


def _nothing() -> None:
    pass


def leader_killed(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    leader.kill()
    return _nothing


def leader_gone(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    leader.stop(signal.SIGKILL)
    return leader.start


def leader_told_to_end(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    leader.stop()
    return leader.start


def leader_stopped(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    """It does not know of the time that passes."""
    leader.signal(signal.SIGSTOP)
    return lambda: leader.signal(signal.SIGCONT)


def leader_hangs(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    """For less than a session, most of the time."""
    leader.signal(signal.SIGSTOP)
    time.sleep(rng.uniform(0.1, SESSION_S))
    leader.signal(signal.SIGCONT)
    return _nothing


def leader_unplugged(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    leader.machine.unplug()
    return _nothing


def leader_flaps(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    for _ in range(4):
        leader.machine.unplug()
        time.sleep(rng.uniform(0.1, 1.5))
        leader.machine.plug()
        time.sleep(rng.uniform(0.1, 1.0))
    return _nothing


def leader_without_members(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    """It keeps ZooKeeper."""
    cut([leader.machine], [one.machine for one in site.schedulers if one is not leader])
    return _nothing


def leader_without_zookeeper(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    """It keeps the others."""
    cut([leader.machine], site.zookeeper_machines)
    return _nothing


def leader_not_heard(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    """Of the others it hears everything."""
    for one in site.schedulers:
        if one is not leader:
            leader.machine.lose_what_goes_to(one.machine)
    return _nothing


def leader_deaf(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    for one in site.schedulers:
        if one is not leader:
            one.machine.lose_what_goes_to(leader.machine)
    return _nothing


def leader_not_heard_by_zookeeper(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    for machine in site.zookeeper_machines:
        leader.machine.lose_what_goes_to(machine)
    return _nothing


def leader_with_one_follower(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    """The other one reaches everybody but the leader."""
    other = rng.choice([one for one in site.schedulers if one is not leader])
    cut([leader.machine], [other.machine])
    return _nothing


def follower_killed(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    rng.choice([one for one in site.schedulers if one is not leader]).kill()
    return _nothing


def followers_killed(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    for one in site.schedulers:
        if one is not leader:
            one.kill()
    return _nothing


def all_killed(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    for one in site.schedulers:
        one.kill()
    return _nothing


def nobody_reaches_anybody(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    for one in site.schedulers:
        cut([one.machine], [other.machine for other in site.schedulers if other is not one])
    return _nothing


def zookeepers_leader_killed(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    (server,) = [one for one in site.zookeepers if one.leads]
    server.stop()
    return server.start


def most_zookeepers_killed(site: Site, leader: Scheduler, rng: random.Random) -> Heal:
    """Nobody can be elected; who leads may go on for a session's time."""
    for server in (killed := rng.sample(site.zookeepers, 2)):
        server.stop()

    def heal() -> None:
        for server in killed:
            server.launch()
        for server in killed:
            server.wait()

    return heal


FAULTS: Mapping[str, tuple[Fault, bool]] = {
    "leader killed": (leader_killed, True),
    "leader gone": (leader_gone, True),
    "leader told to end": (leader_told_to_end, True),
    "leader stopped": (leader_stopped, True),
    "leader hangs": (leader_hangs, False),
    "leader unplugged": (leader_unplugged, True),
    "leader flaps": (leader_flaps, False),
    "leader without members": (leader_without_members, True),
    "leader without ZooKeeper": (leader_without_zookeeper, True),
    "leader not heard": (leader_not_heard, True),
    "leader deaf": (leader_deaf, True),
    "leader not heard by ZooKeeper": (leader_not_heard_by_zookeeper, True),
    "leader with one follower": (leader_with_one_follower, False),
    "follower killed": (follower_killed, False),
    "followers killed": (followers_killed, False),
    "all killed": (all_killed, False),
    "nobody reaches anybody": (nobody_reaches_anybody, False),
    "ZooKeeper's leader killed": (zookeepers_leader_killed, False),
    "most ZooKeepers killed": (most_zookeepers_killed, False),
}
"""And whether another one is to lead before it is healed."""
