"""Storms over the members of a log: everything goes wrong that may, then all is well again, and nothing is missing.

`python -m tests.log.storms FIRST LAST` runs many seeds.
"""

from __future__ import annotations

import random
import sys

from aurorad.log.messages import Status
from tests.log.network import Faults, Network, Node, cluster, lead
from tests.log.paper import Paper


def storm(seed: int, size: int = 3, seconds: float = 30.0, *, restless: bool = False) -> Network:
    """Everything goes wrong that may, then all is well again, and nothing acknowledged is missing.

    `restless`: the network is not so bad, but disks are lost and hosts replaced again and again.
    """
    rng = random.Random(seed)
    bad = Faults(
        lost=rng.choice([0.0, 0.02, 0.2]),
        twice=rng.choice([0.0, 0.1]),
        delay_s=rng.choice([0.002, 0.05, 0.3]),
        late=rng.choice([0.0, 0.02, 0.1]),
        sync_s=rng.choice([0.002, 0.05]),
        slow=rng.choice([0.0, 0.01, 0.1]),
    )
    if restless:
        bad = Faults(lost=0.01, late=rng.choice([0.0, 0.02]), slow=0.01)
    network = cluster(seed, size, bad)
    _trouble(network, rng, seconds, restless)
    _calm_down(network)
    return network


def growth(seed: int) -> Network:
    """From three members to five, as documented, in rough weather."""
    rng = random.Random(seed)
    weather = Faults(lost=0.01, late=rng.choice([0.0, 0.02]), slow=0.01)
    network = cluster(seed, 3, weather)
    network.disks_may_go = False  # for a while all three are needed
    _trouble(network, rng, 5.0, restless=False)
    _calm_down(network)
    network.faults = weather
    for node in rng.sample(list(network.nodes.values()), 3):
        if node.member is not None:
            node.crash()
        node.quorum = 3
        node.start()
        _trouble(network, rng, rng.random() * 2, restless=False)
    for address in "de":
        network.add(address, 3)
        _trouble(network, rng, rng.random() * 5, restless=False)
    _calm_down(network)
    network.disks_may_go = True
    network.faults = weather
    _trouble(network, rng, 10.0, restless=True)
    _calm_down(network)
    return network


def _trouble(network: Network, rng: random.Random, seconds: float, restless: bool) -> None:
    until = network.now + seconds
    while network.now < until:
        _mishap(network, rng)
        if restless and rng.random() < 0.2:
            _lose_a_disk(network, rng)
        network.run(rng.choice([0.001, 0.01, 0.1, 0.5]) * rng.random())


def _calm_down(network: Network) -> None:
    network.faults = Faults()
    network.cut.clear()
    for node in network.nodes.values():
        if node.member is None:
            node.start()
    network.run(6.0)
    leader = lead(network)
    for _ in range(20):
        network.append(leader, 3)
        network.run(0.01)
    network.run(5.0)
    _check_end(network, leader)


def _mishap(network: Network, rng: random.Random) -> None:
    node = rng.choice(list(network.nodes.values()))
    leader = network.leader()
    match rng.randrange(40):
        case 0 | 1:
            network.elect(node.address)
        case 2 if leader is None:
            network.elect(node.address)
        case 3 if node.member is not None:
            node.crash()
        case 4 | 5 | 6 | 7 if node.member is None:
            node.start()
        case 8:
            _lose_a_disk(network, rng)
        case 9:
            other = rng.choice(list(network.nodes))
            network.cut.add((node.address, other))
        case 10 | 11:
            network.cut.clear()
        case 12:
            network.truncate(node)
        case 13 | 14:
            network.confirm(node)
        case _:
            network.append(leader or node, rng.choice([1, 1, 5, 50]))


def _lose_a_disk(network: Network, rng: random.Random) -> None:
    """If that must do no harm: all others are well."""
    if not (network.disks_may_go and network.whole()):
        return
    node = rng.choice(list(network.nodes.values()))
    node.crash()
    network.disks_lost += 1
    if rng.random() < 0.5:
        node.paper = Paper()
        network.after(rng.random(), node.start)
    else:
        del network.nodes[node.address]
        if network.shelf and rng.random() < 0.5:  # one that was replaced comes back
            address, paper = network.shelf.pop()
        else:
            address, paper = f"{node.address[0]}{network.disks_lost}", Paper()
        network.shelf.append((node.address, node.paper))
        network.add(address, node.quorum, paper)


def _check_end(network: Network, leader: Node) -> None:
    assert leader.member is not None
    for position, (value, _) in network.acknowledged.items():
        assert network.chosen[position] == value
    for node in network.nodes.values():
        assert node.member is not None
        assert node.member.status is Status.VOTING, (node.address, node.member.status)
        assert node.member.learned_to == leader.member.end, (node.address, node.member.learned_to, leader.member.end)
        assert node.member.begin == leader.member.begin
        assert node.paper.read(node.paper.begin) == leader.paper.read(leader.paper.begin)


if __name__ == "__main__":
    acknowledged = changed = lost = 0
    for seed in range(int(sys.argv[1]), int(sys.argv[2])):
        try:
            if seed % 5 == 4:
                growth(seed)
            done = storm(seed, random.Random(seed).choice([3, 3, 5]), restless=seed % 2 == 1)
        except BaseException:
            print("seed", seed, flush=True)
            raise
        acknowledged += len(done.acknowledged)
        changed += len(done.leaders)
        lost += done.disks_lost
    print(f"{acknowledged} acknowledged, {changed} leaders, {lost} disks lost")
