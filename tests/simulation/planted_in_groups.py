"""Bugs of schedulers that stand in for each other, planted as those in `planted.py` are."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from aurorad.log import here
from aurorad.log.journal import Journal
from aurorad.log.paxos import Elected
from aurorad.log.receipts import Submission
from aurorad.log.replicated import ReplicatedLog
from aurorad.storage.following import Following
from tests.log.fake_disk import FakeFile
from tests.simulation import clients, faults, faults_of_groups, member
from tests.simulation.log.planted import checksums_not_looked_at, damaged_members_keep_their_vote
from tests.simulation.member import new_disk
from tests.simulation.planted import Plant
from tests.simulation.simulation import Stress


def followers_apply_too_early(patch: pytest.MonkeyPatch) -> None:
    """What a follower has, it takes for chosen."""

    async def follow(self: ReplicatedLog, position: int) -> Any:
        while True:
            await trio.sleep(0.05)
            values = self._journal.read(position, 1 << 20) if position < self._journal.end else []
            entries = [(at, value) for at, value in enumerate(values, position) if isinstance(value, bytes)]
            position += len(values)
            if entries:
                yield entries

    patch.setattr(ReplicatedLog, "follow", follow)


def leaders_read_what_they_knew_before_election(patch: pytest.MonkeyPatch) -> None:
    async def lead(self: ReplicatedLog) -> None:
        while not isinstance(await self._elect(), Elected):
            pass
        self._end = min(self._end, self._journal.stored.learned_to)

    patch.setattr(ReplicatedLog, "lead", lead)


def reads_are_not_confirmed(patch: pytest.MonkeyPatch) -> None:
    async def confirm(self: ReplicatedLog) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(ReplicatedLog, "confirm", confirm)


def acknowledged_without_a_quorum(patch: pytest.MonkeyPatch) -> None:
    place = ReplicatedLog._place

    def hasty(self: ReplicatedLog, *arguments: Any, **more: Any) -> Submission:
        receipt = place(self, *arguments, **more)
        self._receipts.done(receipt.last + 1)
        return receipt

    patch.setattr(ReplicatedLog, "_place", hasty)


def a_journal_without_sync(patch: pytest.MonkeyPatch) -> None:
    append = Journal.append

    def hasty(self: Journal, records: Any) -> None:
        patch.setattr(FakeFile, "sync", lambda file: None)
        append(self, records)

    patch.setattr(Journal, "append", hasty)


def lost_disks_vote_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(faults_of_groups, "new_disk", lambda rng, initialized: new_disk(rng, initialized=True))


def a_quorum_of_one(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(member, "quorum_of", lambda count: 1)
    patch.setattr(here, "objection", lambda *_: None)


def followers_miss_an_entry(patch: pytest.MonkeyPatch) -> None:
    apply = Following._apply

    async def careless(self: Following, records: list[tuple[int, bytes]]) -> None:
        await apply(self, [record for record in records if record[0] % 16 != 7])

    patch.setattr(Following, "_apply", careless)


def _in_three(faults: tuple[faults.Fault, ...], *actions: clients.Action) -> Stress:
    return Stress(faults, actions, 3)


_TROUBLE = (faults_of_groups.dethroned, faults_of_groups.freezes)
_DAMAGE = (faults_of_groups.flipped_bits, faults.crashes)

PLANTS = (
    Plant(a_quorum_of_one, "one log", _in_three(_TROUBLE, clients.create)),
    Plant(followers_apply_too_early, "one log", _in_three((faults_of_groups.bad_wires,), clients.create)),
    Plant(followers_miss_an_entry, "one truth", _in_three((), clients.create)),
    Plant(
        leaders_read_what_they_knew_before_election,
        "one truth",
        _in_three((faults_of_groups.lost_sessions, faults.crashes), clients.create),
    ),
    Plant(reads_are_not_confirmed, "linearizable", _in_three((faults_of_groups.dethroned,), clients.look_often)),
    Plant(acknowledged_without_a_quorum, "log before acknowledge", _in_three((), clients.create)),
    Plant(a_journal_without_sync, "one leads", _in_three((faults.crashes,), clients.create)),
    Plant(lost_disks_vote_at_once, "one leads", _in_three((faults_of_groups.lost_disks,), clients.create)),
    Plant(damaged_members_keep_their_vote, "one leads", _in_three(_DAMAGE, clients.create)),
    Plant(checksums_not_looked_at, "one log", _in_three(_DAMAGE, clients.create)),
)
