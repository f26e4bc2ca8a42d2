"""Whether the members of one log, all stopped, hold the same, and have made the same of it."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from aurorad.log.disk import Folder, ReadOnlyFolder
from aurorad.log.inspection import Entry, inspect
from aurorad.log.journal import Journal
from aurorad.log.messages import NOBODY, Proposal, Value
from aurorad.storage.database import Database
from aurorad.storage.shared import Shared
from tests.cluster.schedulers import Scheduler

_PART = 1 << 20


def disagreements(schedulers: Sequence[Scheduler]) -> Iterator[str]:
    yield from two_leaders({one.name: written(one) for one in schedulers})
    logs = {one.name: learned(one) for one in schedulers}
    for (name, log), (other, others) in itertools.combinations(logs.items(), 2):
        common = log.keys() & others.keys()
        if not common:
            yield f"the logs of {name} and {other} have nothing in common: {_extent(log)} and {_extent(others)}"
        for position in sorted(common):
            if log[position] != others[position]:
                yield f"at {position} {name} has {log[position]!r:.200}, and {other} {others[position]!r:.200}"
                break
    states = {one.name: rows(one) for one in schedulers}
    for (name, state), (other, others_state) in itertools.combinations(states.items(), 2):
        for row in sorted(state ^ others_state, key=repr)[:6]:
            owner = name if row in state else other
            yield f"only the database of {owner}, of {name} and {other}, has {row!r:.1000}"


def two_leaders(logs: Mapping[str, Iterable[Entry]]) -> Iterator[str]:
    """What could not be if no more than one leader at a time had written, by what each member was told to write.

    A proposal is one leader's, and says one thing at each position, also where it never came to be chosen. Whoever took
    something of a later one takes nothing of an earlier one any more, so along a log proposals do not fall.
    """
    said: dict[tuple[Proposal, int], tuple[str, Value]] = {}
    for name, log in logs.items():
        last = NOBODY
        for position, value, _, proposal in log:
            if proposal is None:  # learned from another member
                continue
            if proposal < last:
                yield f"at {position} {name} took something of {proposal}, having taken something of {last} before"
            last = proposal
            other, what = said.setdefault((proposal, position), (name, value))
            if what != value:
                yield f"{proposal} told {other} {what!r:.200} at {position}, and {name} {value!r:.200}"


def written(scheduler: Scheduler) -> Sequence[Entry]:
    """All that is in its log, as `aurorad log inspect` tells it."""
    with contextlib.closing(ReadOnlyFolder(scheduler.log_folder)) as disk:
        found = inspect(disk)
        entries = list(found.entries())
        assert not found.damages, found.damages
        return entries


def learned(scheduler: Scheduler) -> Mapping[int, Value]:
    """What is known to be chosen, by position."""
    journal = Journal.open(Folder(scheduler.log_folder), alone=True, rng=random.Random(0))
    try:
        at, values = journal.begin, {}
        while at < journal.learned_to:
            for value in journal.read(at, _PART):
                values[at] = value
                at += 1
        return {position: value for position, value in values.items() if position < journal.learned_to}
    finally:
        journal.close()


def rows(scheduler: Scheduler) -> set[object]:
    """All that its database holds."""
    with contextlib.closing(Database(scheduler.database)) as database:
        return set(itertools.chain.from_iterable(database.load(Shared())))


def _extent(log: Mapping[int, Value]) -> str:
    return f"{min(log)} to {max(log)}" if log else "nothing"
