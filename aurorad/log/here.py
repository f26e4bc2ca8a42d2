"""What the parts of a member share: what it is, what it sees, and what it has to say."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from aurorad.log.configuration import objection, twins
from aurorad.log.messages import Configuration, Message, Peer
from aurorad.log.outbox import Outbox
from aurorad.log.replica import Replica

PIECE_BYTES = 1 << 20
"""About so much is sent at once to a member that lacks more."""


class Timing(NamedTuple):
    """Seconds."""

    beat_s: float = 0.5
    write_s: float = 3.0
    """A write that no quorum took by then is the end of leading."""
    election_s: float = 15.0
    """One `elect` tries for so long."""
    again_s: float = 0.1
    """After being outbid, the next try waits that long, or up to twice that."""
    fetch_s: float = 2.0
    """A fetch that is not answered by then is asked again, of another member."""
    full_s: float = 20.0
    """After so long a member without room asks again whether the others have forgotten something."""
    away_s: float = 3.0
    """A member not seen for so long has not only moved: who is at its address may have its seat."""
    gone_s: float = 60.0
    """A member not seen for so long loses its seat, if somebody without one is there."""
    resend_s: float = 0.2
    """What a member lacks is not sent again before that, unless it has got further."""


class Here:
    """One member's place in the world."""

    def __init__(
        self,
        address: str,
        cluster: str,
        quorum: int,
        replica: Replica,
        outbox: Outbox,
        rng: random.Random,
        timing: Timing,
    ) -> None:
        self.address = address
        self.cluster = cluster
        self.quorum = quorum
        self.replica = replica
        self.outbox = outbox
        self.rng = rng
        self.timing = timing
        self.peers: Mapping[str, Peer | None] = {}
        self.others: tuple[str, ...] = ()

    @property
    def me(self) -> Peer:
        return Peer(self.replica.member, self.quorum)

    def see(self, peers: Mapping[str, Peer | None]) -> None:
        self.peers = {address: peer for address, peer in peers.items() if address != self.address}
        self.others = tuple(sorted(self.peers))

    @property
    def twins(self) -> frozenset[int]:
        return twins(self.me, self.peers)

    def objection(self, recorded: Configuration | None) -> str | None:
        return objection(self.me, self.address, self.cluster, self.peers, recorded)

    def tell_all(self, message: Message) -> None:
        """At once."""
        self.outbox.send(self.others, message)
