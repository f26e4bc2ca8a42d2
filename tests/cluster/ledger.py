"""What users were told, to be held against what is there."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.cluster.calls import NotDone, Unknown, create, jobs
from tests.cluster.schedulers import Scheduler, Site
from tests.e2e.cluster import eventually


class Ledger:
    """The jobs that users of a site have created."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._numbers = itertools.count()
        self.acknowledged: set[str] = set()
        self.unknown: set[str] = set()
        """They may be there or not."""

    def add(self, count: int = 3, padding: str = "") -> None:
        """Have so many more acknowledged."""
        for _ in range(count):
            eventually("a write is acknowledged", lambda: self.try_one(self.site.leader(), padding) == "", 60)

    def try_one(self, leader: Scheduler, padding: str = "") -> str:
        """Why it was not acknowledged; empty if it was."""
        name = f"job-{next(self._numbers)}"
        try:
            assert create(leader, name, padding=padding)
        except NotDone as why:
            return str(why)
        except Unknown as why:
            self.unknown.add(name)
            return str(why)
        self.acknowledged.add(name)
        return ""

    def check(self, leader: Scheduler) -> None:
        """All that was acknowledged is there, and nothing that nobody wanted."""

        def read() -> set[str] | None:
            try:
                return jobs(leader)
            except (NotDone, Unknown):
                return None

        there = eventually(f"{leader.name} answers", read) if self.acknowledged else jobs(leader)
        assert self.acknowledged <= there, f"lost: {sorted(self.acknowledged - there)}"
        assert there <= self.acknowledged | self.unknown, f"nobody's: {sorted(there - self.acknowledged)}"

    def check_with(self, these: Iterable[Scheduler]) -> None:
        """All is there, and more can be written, when the other members are gone. They come back afterwards."""
        left = list(these)
        others = [one for one in self.site.schedulers if one not in left]
        for one in left:  # one that has learned all may not have its vote again yet
            eventually(f"{one.name} is fit", one.is_fit, 60)
        for one in others:
            one.stop()
        try:
            leader = eventually("one of those left leads", lambda: next((one for one in left if one.leads()), None), 60)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.site.tails()}") from None
        self.check(leader)
        self.add()
        for one in others:
            one.start()


@contextmanager
def adding(ledger: Ledger) -> Iterator[None]:
    """Within, a user adds one after the other, whoever leads; then it is known of each whether it was acknowledged."""
    enough = threading.Event()

    def add() -> None:
        while not enough.wait(0.1):
            leader = ledger.site.leading()
            if leader is not None:
                ledger.try_one(leader)

    user = threading.Thread(target=add)
    user.start()
    try:
        yield
    finally:
        enough.set()
        user.join()
    assert ledger.acknowledged
