"""A cluster of empty members makes itself voting, in two phases: nobody votes before all have left EMPTY.

Storage sheet, C7. Off by default: a cluster of which all disks were lost would begin anew by itself.
"""

from __future__ import annotations

from aurorad.log.here import Here
from aurorad.log.messages import Standing, Status

_AGAIN_S = 1.0


class Initializing:
    """Asks the others what they are as long as this member is EMPTY or STARTING; answers who asks."""

    def __init__(self, here: Here, wanted: bool) -> None:
        self._here = here
        self._wanted = wanted
        self._ask_at = 0.0
        self._told: dict[int, Status] = {}

    @property
    def next_at(self) -> float | None:
        return self._ask_at if self._under_way else None

    @property
    def _under_way(self) -> bool:
        return self._wanted and self._here.replica.status in (Status.EMPTY, Status.STARTING)

    def tick(self, now: float) -> None:
        if self._under_way and now >= self._ask_at:
            self._ask_at = now + _AGAIN_S
            self._here.outbox.hold(self._here.others, self._standing(asks=True))

    def standing(self, sender: str, told: Standing) -> None:
        if told.asks:
            self._here.outbox.hold((sender,), self._standing(asks=False))
        self._told[told.member] = told.status
        replica = self._here.replica
        present = {peer.member for peer in self._here.peers.values() if peer is not None}
        statuses = [status for member, status in self._told.items() if member in present] + [replica.status]
        if not self._under_way:
            return
        cluster_size = 2 * self._here.quorum - 1
        if replica.status is Status.EMPTY:
            if sum(status in (Status.EMPTY, Status.STARTING) for status in statuses) >= cluster_size:
                replica.become(Status.STARTING)
        elif sum(status in (Status.STARTING, Status.VOTING) for status in statuses) >= cluster_size:
            replica.become(Status.VOTING)

    def _standing(self, *, asks: bool) -> Standing:
        return Standing(self._here.replica.member, self._here.replica.status, asks)
