"""An election: a quorum promises, the best log among them is taken over, and its opening is ready to be written."""

from __future__ import annotations

from typing import NamedTuple

from aurorad.log.configuration import first_configuration
from aurorad.log.here import Here
from aurorad.log.messages import (
    Configuration,
    Ignored,
    Nop,
    Promise,
    Promised,
    Proposal,
    Rejected,
    Value,
    Write,
)


class Opening(NamedTuple):
    """The first write of a new leader, and who votes."""

    write: Write
    configuration: Configuration
    position: int
    """Where that configuration lies."""
    voters: frozenset[int]
    """Who counts until it is chosen: those who vote before and after it."""


class Need(NamedTuple):
    """What must be learned first, and who knows it."""

    to: int
    of: str


class Verdict(NamedTuple):
    """The election has failed. `refused`: this member must not lead, as things are."""

    why: str
    refused: bool


class Candidate:
    """Tries until `deadline`, with a higher round whenever it is outbid."""

    def __init__(self, here: Here, now: float) -> None:
        self._here = here
        self.deadline = now + here.timing.election_s
        self._outbid = 0  # the highest round heard of
        self._answers: dict[int, tuple[str, Promised]] = {}
        self._silent: dict[str, str] = {}  # why who does not promise
        self._best: Promised | None = None  # once it is decided
        self._voters: frozenset[int] = frozenset()  # who counted then
        self._try_at: float | None = None  # when to outbid who outbid this one
        self._ask_at = now
        self._begin(now)

    @property
    def next_at(self) -> float:
        return min(self.deadline, self._ask_at if self._try_at is None else self._try_at)

    @property
    def proposal(self) -> Proposal:
        return self._promise.proposal

    def _begin(self, now: float) -> None:
        here = self._here
        replica = here.replica
        self._answers.clear()
        self._silent.clear()
        self._best = self._try_at = None
        proposal = (max(self._outbid, replica.promised[0]) + 1, replica.member)
        self._promise = Promise(proposal, here.quorum, replica.last, replica.end)
        answer = replica.promise(self._promise)
        assert isinstance(answer, Promised), answer
        here.outbox.hold((here.address,), answer)  # only then are the others asked: no proposal is ever used twice
        self._ask_at = now + here.timing.beat_s

    def tick(self, now: float) -> Verdict | None:
        if now >= self.deadline:
            return Verdict(self._what_is_missing(), refused=False)
        if self._try_at is not None:
            if now >= self._try_at:
                self._begin(now)
        elif now >= self._ask_at:
            self._ask_at = now + self._here.timing.beat_s
            if self._here.replica.member in self._answers:
                self._ask()
        return None

    def promised(self, sender: str, answer: Promised) -> None:
        if answer.proposal != self.proposal or self._best is not None:
            return
        self._answers[answer.member] = (sender, answer)
        self._silent.pop(sender, None)
        if answer.member == self._here.replica.member:
            self._ask()

    def rejected(self, now: float, answer: Rejected) -> None:
        if answer.proposal == self.proposal:
            self.outbid(now, answer.promised[0])

    def outbid(self, now: float, round_: int) -> None:
        """Somebody, maybe this member itself, has promised a higher round than is asked for."""
        if round_ >= self.proposal[0] and round_ > self._outbid:
            self._outbid = round_
            if self._try_at is None:
                self._try_at = now + self._here.timing.again_s * (1 + self._here.rng.random())

    def ignored(self, sender: str, answer: Ignored) -> None:
        if answer.proposal == self.proposal:
            self._silent[sender] = answer.why

    def opening(self) -> Opening | Need | Verdict | None:
        """The opening if all is there for it; what must be learned first; or None: more must answer."""
        if self._try_at is not None:
            return None
        if self._best is None and (verdict := self._decide()) is not None:
            return verdict
        best, replica = self._best, self._here.replica
        if best is None:
            return None
        # All that anybody of the quorum knows to be chosen is in the best log.
        knower, known = max(self._answers.values(), key=lambda answer: answer[1].learned_to)
        first = known.learned_to
        if first > best.end:
            return Verdict(f"{knower} has learned more than a quorum knows: its disk is of another log", refused=True)
        if replica.learned_to < first and not (replica.last == best.last and replica.end >= first):
            return Need(first, knower)
        return self._write(best, first)

    def _decide(self) -> Verdict | None:
        """Take the best log, if a quorum of those who vote according to it has promised."""
        here = self._here
        mine = self._answers.get(here.replica.member)
        if mine is None:
            return None
        best = max((answer for _, answer in self._answers.values()), key=lambda answer: (answer.last, answer.end))
        if (mine[1].last, mine[1].end) == (best.last, best.end):
            best = mine[1]
        self._voters = self._who_votes(best)
        if len(self._voters & self._answers.keys()) < here.quorum:
            return None
        if best.placed[-1].configuration is None and (self._unheard() or not self._may_begin()):
            return None  # one of them may know of a log that the others were too new for
        if (why := here.objection(best.placed[-1].configuration)) is not None:
            return Verdict(why, refused=True)
        self._best = best
        return None

    def _who_votes(self, best: Promised) -> frozenset[int]:
        """Who is named by the last configuration chosen and by all behind it, which may not be; at first, all."""
        chosen = max((answer.placed[0] for _, answer in self._answers.values()), key=lambda placed: placed.position)
        behind = [placed for placed in best.placed if placed.position > chosen.position]
        named = [placed.configuration.ids for placed in (chosen, *behind) if placed.configuration is not None]
        return frozenset.intersection(*named) if named else frozenset(self._answers)

    def _write(self, best: Promised, first: int) -> Opening:
        here, replica = self._here, self._here.replica
        if best.member == replica.member:
            values = replica.recent.slice(max(first, replica.recent.start), best.end)
            first = best.end - len(values)
        else:
            values = list(best.tail[first - best.learned_to :])
        position = best.end
        configuration, where = best.placed[-1]
        voters = self._voters
        opens: Value = Nop()
        if configuration is None:
            opens = configuration = first_configuration(here.me, here.address, here.cluster, here.peers)
            where, voters = position, configuration.ids
        elif configuration.quorum != here.quorum:
            opens = configuration = Configuration(configuration.cluster, here.quorum, configuration.members)
            where = position
        write = Write(self.proposal, best.last, first, [*values, opens], first)
        return Opening(write, configuration, where, voters)

    def _ask(self) -> None:
        answered = {sender for sender, _ in self._answers.values()}
        here = self._here
        here.outbox.send(tuple(address for address in here.others if address not in answered), self._promise)

    def _may_begin(self) -> bool:
        """Whether those whom the first configuration would name can choose it."""
        here = self._here
        named = first_configuration(here.me, here.address, here.cluster, here.peers).ids
        return len(named & self._answers.keys()) >= here.quorum

    def _unheard(self) -> list[str]:
        """Who is known to be a member of this cluster, and has not even said that it does not promise."""
        heard = {sender for sender, _ in self._answers.values()} | self._silent.keys()
        return [address for address, peer in self._here.peers.items() if peer is not None and address not in heard]

    def _what_is_missing(self) -> str:
        answered = sorted(sender for sender, _ in self._answers.values())
        silent = "".join(f"; {address} does not: {why}" for address, why in sorted(self._silent.items()))
        if self._best is not None:
            return f"what {', '.join(answered)} know could not be fetched"
        if len(self._voters & self._answers.keys()) >= self._here.quorum:
            return f"the log is new, and {', '.join(self._unheard())} did not answer"
        voters = self._voters or self._answers.keys()
        voted = sorted(sender for member, (sender, _) in self._answers.items() if member in voters)
        voteless = ", ".join(sender for sender in answered if sender not in voted)
        told = f"{', '.join(voted) or 'nobody'} did" + (f"; {voteless} did, but has no vote now" if voteless else "")
        return f"no quorum of {self._here.quorum} promised: {told}{silent}"
