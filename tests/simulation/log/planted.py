"""Bugs, planted into the log one at a time to see whether the simulation notices. `test_planted.py` runs them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from aurorad.log import coordinator, sectors
from aurorad.log.candidate import Candidate
from aurorad.log.catching_up import CatchingUp
from aurorad.log.coordinator import Coordinator
from aurorad.log.initializing import Initializing
from aurorad.log.messages import NOBODY, Accepted, Message, Metadata, Promise, Status, Truncate, Value, Write
from aurorad.log.outbox import Outbox, Sending
from aurorad.log.paxos import Member
from aurorad.log.replica import Replica
from tests.log.fake_disk import FakeFile
from tests.simulation.log import faults
from tests.simulation.log.network import Weather
from tests.simulation.log.simulation import Stress

ROUGH = Weather(lost=0.1, twice=0.1, delay_s=0.05, late=0.05, in_order=False)
CRASHES = Stress((faults.crashes, faults.crashes, faults.elections))
TORN = Stress((faults.crashes_at_a_call_of_the_disk, faults.elections))
QUARRELS = Stress((faults.cuts, faults.elections, faults.crashes), weather=ROUGH)
USURPED = Stress((faults.leaders_cut_off, faults.leaders_cut_off, faults.elections))
LOST_DISKS = Stress((faults.disks_lost, faults.crashes, faults.elections), size=3, seconds=30.0)
DAMAGE = Stress((faults.bits_flip, faults.crashes), seconds=30.0)


class Plant(NamedTuple):
    """One of `rules` is broken by it, soon if there is a lot of what `stress` says."""

    plant: Callable[[pytest.MonkeyPatch], None]
    rules: tuple[str, ...]
    stress: Stress = Stress()


# --- What is durable ---


def answers_before_they_are_durable(patch: pytest.MonkeyPatch) -> None:
    def hasty(self: Outbox, to: tuple[str, ...], message: Message) -> None:
        self._held.append((0, {(to, type(message)): Sending(to, message)}))

    patch.setattr(Outbox, "hold", hasty)


def disks_not_synced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FakeFile, "sync", lambda self: None)


def promises_not_written_down(patch: pytest.MonkeyPatch) -> None:
    promise = Replica.promise

    def forgetful(self: Replica, asked: Promise) -> Any:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(Replica, "_write_metadata", lambda self: None)
            return promise(self, asked)

    patch.setattr(Replica, "promise", forgetful)


def torn_writes_kept(patch: pytest.MonkeyPatch) -> None:
    """What is left of a batch counts if its header is there."""
    decode = sectors.decode

    def lenient(data: bytes, offset: int) -> sectors.Batch | None:
        whole, header = decode(data, offset), sectors.header(data, offset)
        if whole is not None or header is None:
            return whole
        payload = bytearray(data[offset : offset + header.length])
        del payload[:: sectors.SECTOR]
        start = sectors._HEADER.size
        return sectors.Batch(header, bytes(payload[start : start + header.size]), offset + header.length)

    patch.setattr(sectors, "decode", lenient)


# --- Damage ---


def damage_taken_for_a_torn_write(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sectors, "not_torn", lambda data, offset: None)


def damaged_members_keep_their_vote(patch: pytest.MonkeyPatch) -> None:
    """What is left of a damaged log counts as if it were all."""
    patch.setattr("aurorad.log.journal.Metadata", lambda status, *rest: Metadata(Status.VOTING, *rest))


def checksums_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(zlib, "crc32", lambda data, start=0: 7)


# --- Promises and writes ---


def writes_taken_below_a_promise(patch: pytest.MonkeyPatch) -> None:
    write = Replica.write

    def lenient(self: Replica, asked: Write, *, mine: bool = False) -> Any:
        promised, self.promised = self.promised, min(self.promised, asked.proposal)
        answer = write(self, asked, mine=mine)
        self.promised = max(promised, self.promised)
        return answer

    patch.setattr(Replica, "write", lenient)


def openings_that_drop_nothing(patch: pytest.MonkeyPatch) -> None:
    """What was taken from leaders before stays behind what a new one wrote."""
    put = Replica._put

    def keeping(self: Replica, proposal: Any, first: int, values: Sequence[Value]) -> None:
        kept = self.recent.slice(min(first + len(values), self.end), self.end)
        put(self, proposal, first, [*values, *kept])

    patch.setattr(Replica, "_put", keeping)


def openings_that_drop_too_much(patch: pytest.MonkeyPatch) -> None:
    """The last value that was taken over is left out."""
    opening = Candidate._write

    def short(self: Candidate, *given: Any) -> Any:
        whole = opening(self, *given)
        *taken, opens = whole.write.values
        if not taken or type(taken[-1]) is not bytes:
            return whole
        return whole._replace(write=replace(whole.write, values=[*taken[:-1], opens]))

    patch.setattr(Candidate, "_write", short)


def tails_chosen_by_their_end(patch: pytest.MonkeyPatch) -> None:
    """The longest log is the best, whoever wrote it."""
    promise, decide = Replica.promise, Candidate._decide

    def telling_all(self: Replica, asked: Promise) -> Any:
        return promise(self, replace(asked, last=(-1, 0), end=-1))

    def by_end(self: Candidate) -> Any:
        kept = dict(self._answers)
        for member, (sender, answer) in kept.items():
            self._answers[member] = sender, replace(answer, last=NOBODY)
        verdict = decide(self)
        self._answers.update(kept)
        if self._best is not None:
            self._best = kept[self._best.member][1]
        return verdict

    patch.setattr(Replica, "promise", telling_all)
    patch.setattr(Candidate, "_decide", by_end)


def marks_believed_whoever_wrote(patch: pytest.MonkeyPatch) -> None:
    """All below a leader's mark is chosen, also what is here from another leader."""

    def gullible(self: Replica, proposal: Any, to: int) -> bool:
        self.learn(min(to, self.end))
        return self.learned_to >= to

    patch.setattr(Replica, "believe", gullible)


def holes_taken(patch: pytest.MonkeyPatch) -> None:
    """A write behind a hole is accepted."""
    write = Replica.write

    def lenient(self: Replica, asked: Write, *, mine: bool = False) -> Any:
        answer = write(self, asked, mine=mine)
        if self.status is Status.VOTING and asked.proposal >= self.promised and not isinstance(answer, Accepted):
            return Accepted(self.member, asked.proposal, asked.first + len(asked.values))
        return answer

    patch.setattr(Replica, "write", lenient)


def quorums_of_writes_one_too_small(patch: pytest.MonkeyPatch) -> None:
    shared_by = coordinator._shared_by
    patch.setattr(coordinator, "_shared_by", lambda quorum, *given: shared_by(quorum - 1, *given))


class _Generous(frozenset[int]):
    """Whoever is asked for, one more is in it."""

    def __and__(self, others: Any) -> frozenset[int]:
        return frozenset((*(one for one in self if one in others), -1))


def quorums_of_promises_one_too_small(patch: pytest.MonkeyPatch) -> None:
    who_votes = Candidate._who_votes
    patch.setattr(Candidate, "_who_votes", lambda self, best: _Generous(who_votes(self, best)))


def reads_not_confirmed(patch: pytest.MonkeyPatch) -> None:
    """Who leads thinks that nobody else does."""

    def sure(self: Coordinator) -> int:
        self.confirmed += 1
        return self.confirmed

    patch.setattr(Coordinator, "confirm", sure)


def truncated_before_it_is_chosen(patch: pytest.MonkeyPatch) -> None:
    put = Replica._put

    def hasty(self: Replica, proposal: Any, first: int, values: Sequence[Value]) -> None:
        put(self, proposal, first, values)
        for value in values:
            if isinstance(value, Truncate):
                self._obey(self.end, Truncate(min(value.to, self.learned_to)))

    patch.setattr(Replica, "_put", hasty)


# --- Members ---


def recovering_members_vote(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replica, "_mute", lambda self: None)


def new_disks_with_old_names(patch: pytest.MonkeyPatch) -> None:
    """A member is its address: with an empty disk it votes, though it has forgotten what it said."""
    init = Member.__init__

    def named(self: Member, address: str, cluster: str, quorum: int, stored: Any, rng: Any, **given: Any) -> None:
        drawn = Replica.__init__

        def by_address(self: Replica, stored: Any, quorum: int, write_down: Any, draw: Any) -> None:
            drawn(self, stored, quorum, write_down, lambda: ord(address[0]))

        with pytest.MonkeyPatch.context() as within:
            within.setattr(Replica, "__init__", by_address)
            init(self, address, cluster, quorum, stored, rng, **given)

    patch.setattr(Member, "__init__", named)


def old_disks_trusted(patch: pytest.MonkeyPatch) -> None:
    heard = Coordinator.heard

    def trusting(self: Coordinator, now: float, sender: str, answer: Any) -> None:
        self._accepted_at.pop(answer.member, None)
        heard(self, now, sender, answer)

    patch.setattr(Coordinator, "heard", trusting)


def nothing_is_fetched(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CatchingUp, "fetched", lambda *_: None)


def initialized_one_by_one(patch: pytest.MonkeyPatch) -> None:
    """An empty member votes as soon as it has heard of another."""

    def hasty(self: Initializing, sender: str, told: Any) -> None:
        if self._under_way:
            self._here.replica.become(Status.VOTING)

    patch.setattr(Initializing, "standing", hasty)


LOST = ("one value a position", "what was acknowledged is kept", "linearizable", "chosen by a quorum of disks")
PLANTS = (
    Plant(answers_before_they_are_durable, ("said only what is durable",)),
    Plant(disks_not_synced, ("what was written survives a crash", "a crash is no damage"), CRASHES),
    Plant(promises_not_written_down, ("said only what is durable",)),
    Plant(torn_writes_kept, ("what was written survives a crash", "a crash is no damage", "nothing breaks"), TORN),
    Plant(damage_taken_for_a_torn_write, ("what was written survives a crash",), DAMAGE),
    Plant(damaged_members_keep_their_vote, ("what was written survives a crash",), DAMAGE),
    Plant(checksums_not_looked_at, ("no damaged entry is served", "what was written survives a crash"), DAMAGE),
    Plant(writes_taken_below_a_promise, (*LOST, "nothing breaks"), QUARRELS),
    Plant(openings_that_drop_nothing, (*LOST, "one value a proposal"), QUARRELS),
    Plant(openings_that_drop_too_much, LOST, QUARRELS),
    Plant(tails_chosen_by_their_end, LOST, USURPED),
    Plant(marks_believed_whoever_wrote, LOST, QUARRELS),
    Plant(holes_taken, ("said only what is durable",), QUARRELS),
    Plant(quorums_of_writes_one_too_small, LOST, QUARRELS),
    Plant(quorums_of_promises_one_too_small, LOST, QUARRELS),
    Plant(reads_not_confirmed, ("linearizable",), Stress((faults.leaders_cut_off,), reads=0.5)),
    Plant(
        truncated_before_it_is_chosen,
        ("only what was truncated is forgotten",),
        Stress((faults.truncations, faults.cuts, faults.elections)),
    ),
    Plant(recovering_members_vote, ("no vote before recovery",), LOST_DISKS),
    Plant(new_disks_with_old_names, LOST, LOST_DISKS),
    Plant(
        old_disks_trusted,
        ("an old disk is found out",),
        Stress((faults.old_disks,), size=3),
    ),
    Plant(nothing_is_fetched, ("all catch up", "a leader in the end"), LOST_DISKS),
    Plant(initialized_one_by_one, ("all begin together",), Stress((), initialize=True)),
)
