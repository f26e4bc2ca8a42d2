"""What a member does for whoever leads, and for those who lack something."""

from __future__ import annotations

from collections.abc import Sequence

from aurorad.log.catching_up import CatchingUp
from aurorad.log.here import PIECE_BYTES, Here
from aurorad.log.messages import Accepted, Beat, Behind, Fetched, Heard, Proposal, Rejected, Status, Value


class Follower:
    """Hears leaders, answers their beats, and serves what is learned here."""

    def __init__(self, here: Here, catching_up: CatchingUp) -> None:
        self.followed: tuple[str, Proposal] | None = None
        """Who leads, as far as this member knows."""
        self._here = here
        self._catching_up = catching_up
        self._fetches: list[tuple[str, int]] = []

    def hear(self, now: float, sender: str, proposal: Proposal, learned: int) -> None:
        """A leader lives, and all below `learned` is chosen as it wrote it."""
        replica = self._here.replica
        if self.followed is None or proposal >= self.followed[1]:
            self.followed = (sender, proposal)
        if not replica.believe(proposal, learned):
            if replica.status is Status.EMPTY:
                replica.become(Status.RECOVERING)
            self._catching_up.need(now, learned, sender)

    def answer(self, sender: str, beat: Beat) -> None:
        replica, outbox = self._here.replica, self._here.outbox
        if beat.proposal < replica.promised:
            outbox.hold((sender,), Rejected(replica.member, beat.proposal, replica.promised))
            return
        voting = replica.status is Status.VOTING
        stands = (voting, replica.learned_to, replica.last, replica.end)
        outbox.send((sender,), Heard(replica.member, beat.proposal, beat.token, *stands))
        if voting and replica.last == beat.proposal:
            outbox.hold((sender,), Accepted(replica.member, beat.proposal, replica.end))

    def fetched(self, now: float, sender: str, told: Fetched) -> None:
        """Learn from it; once that is all that was known to be chosen, what is in flight can be taken too."""
        self._catching_up.fetched(now, sender, told)
        replica = self._here.replica
        if self._catching_up.under_way or self.followed is None or replica.status is not Status.VOTING:
            return
        leader, proposal = self.followed
        if proposal >= replica.promised:
            stands = Behind(replica.member, proposal, replica.learned_to, replica.last, replica.end)
            self._here.outbox.send((leader,), stands)

    def serve(self, sender: str, first: int) -> None:
        """From memory if it is there, else the driver reads it from disk."""
        replica = self._here.replica
        if first < replica.recent.start:
            self._fetches.append((sender, first))
        else:
            values = replica.recent.piece(min(first, replica.learned_to), replica.learned_to, PIECE_BYTES)
            self._here.outbox.send((sender,), self.told(first, values))

    def told(self, first: int, values: Sequence[Value]) -> Fetched:
        """The answer to who lacks what lies from `first` on."""
        replica = self._here.replica
        learned = values[: max(0, replica.learned_to - first)]
        return Fetched(replica.promised, replica.begin, first, learned, replica.placed)

    def take_fetches(self) -> Sequence[tuple[str, int]]:
        """What the driver is to read, and for whom."""
        fetches, self._fetches = self._fetches, []
        return fetches
