"""Who may vote and who may lead: what the log says about it, against what is seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aurorad.log.messages import Configuration, Peer

Peers = Mapping[str, Peer | None]
"""The other members of the group by address; None for one that was not heard yet."""


def objection(me: Peer, address: str, cluster: str, peers: Peers, recorded: Configuration | None) -> str | None:
    """Why this member must not lead, in a sentence.

    Two quorums must always share a member. So the quorum is a majority of all members there are, and the one that the
    log says. Where the log says none, all agree on it. It differs from the log's in one way only: it was raised,
    everywhere, and still shares a member with any quorum of before. (One other member with a wrong flag keeps nobody
    from leading by the right one: it promises nothing to who has another.)
    """
    flag = f"-native_log_quorum_size={me.quorum}"
    seen = sorted([address, *peers])
    if 2 * me.quorum <= len(seen):
        return f"{flag} is no majority of the {len(seen)} members seen: {', '.join(seen)}"
    if both := twice(me, address, peers):
        return f"{' and '.join(both)} have the same journal: one is a copy of the other, and must go"
    if recorded is None:
        return _disagreement(me, peers)
    if recorded.cluster != cluster:
        return f"the log is that of the cluster {recorded.cluster!r}, not of {cluster!r}"
    if me.member not in recorded.ids:
        return f"the log does not name this member as one who votes; it names {_names(recorded)}"
    if me.quorum == recorded.quorum:
        return None
    what = f"{flag}, but the log says {recorded.quorum}"
    if me.quorum < recorded.quorum:
        return f"{what}, and it can only be raised"
    if me.quorum > len(recorded.members):
        return f"{what}, and names only {_names(recorded)} so far"
    if me.quorum + recorded.quorum <= len(recorded.members):
        return f"{what}: raise it by one at a time"
    unheard = sorted(other for other, peer in peers.items() if peer is None)
    if unheard:
        return f"{what}, and nothing is known yet of the flag of {', '.join(unheard)}"
    return _disagreement(me, peers)


def _disagreement(me: Peer, peers: Peers) -> str | None:
    for other, peer in sorted(peers.items()):
        if peer is not None and peer.quorum != me.quorum:
            return (
                f"-native_log_quorum_size={me.quorum} here, but {other} runs with -native_log_quorum_size={peer.quorum}"
            )
    return None


def twice(me: Peer, address: str, peers: Peers) -> list[str]:
    """Two addresses with the same disk, or a copy of it; nothing if there are none."""
    seen = {me.member: address}
    for other, peer in sorted(peers.items()):
        if peer is not None and peer.member and seen.setdefault(peer.member, other) != other:
            return [seen[peer.member], other]
    return []


def twins(me: Peer, peers: Peers) -> frozenset[int]:
    """Ids that more than one address has: what one of these disks says does not hold for the other."""
    ids = [me.member, *(peer.member for peer in peers.values() if peer is not None)]
    return frozenset(member for member in ids if member and ids.count(member) > 1)


def first_configuration(me: Peer, address: str, cluster: str, peers: Peers) -> Configuration:
    """That of a log without one: all who are heard."""
    members = {peer.member: other for other, peer in peers.items() if peer is not None and peer.member}
    return _configuration(cluster, me.quorum, {**members, me.member: address})


def next_configuration(
    current: Configuration, me: Peer, address: str, peers: Peers, gone: Collection[int]
) -> Configuration | None:
    """The next step, one member at a time, towards a log in which all vote who are seen; None if there is none.

    A newcomer gets the seat of the disk that was at its address before, or a free one, or that of one that is `gone`.
    """
    heard = {peer.member: other for other, peer in peers.items() if peer is not None and peer.quorum == me.quorum}
    heard[me.member] = address
    newcomers = sorted((other, member) for member, other in heard.items() if member and member not in current.ids)
    if not newcomers:
        return None
    where, newcomer = newcomers[0]
    members = dict(current.members)
    replaced = [member for member, old in current.members if old == where and member not in heard]
    if not replaced and len(members) >= 2 * me.quorum - 1:
        replaced = [member for member in sorted(members) if member in gone and member not in heard]
        if not replaced:
            return None
    for member in replaced[:1]:
        del members[member]
    return _configuration(current.cluster, me.quorum, {**members, newcomer: where})


def _configuration(cluster: str, quorum: int, members: Mapping[int, str]) -> Configuration:
    return Configuration(cluster, quorum, tuple(sorted(members.items())))


def _names(recorded: Configuration) -> str:
    return ", ".join(sorted(address for _, address in recorded.members))
