"""A machine: its disk, its clock, and the process that runs on it, if any does."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from aurorad.log.errors import LogDamaged, LogFull
from aurorad.log.journal import Journal
from aurorad.log.messages import NOBODY, Metadata, Record, Status
from tests.log.fake_disk import Down, FakeDisk
from tests.log.paper import Paper
from tests.simulation.log.process import SEGMENT_BYTES, Process

if TYPE_CHECKING:
    from tests.simulation.log.simulation import World

FAST_S = 0.004
_PLENTY = 1 << 30
_SECTOR = 512
_TOO_MUCH = 1 << 40


class _Flipped(NamedTuple):
    name: str
    offset: int
    mask: int
    left: int
    """The byte as it was left."""


class Machine:
    """`process` is None while it is down."""

    def __init__(self, world: World, address: str, quorum: int, *, initialized: bool) -> None:
        self.world = world
        self.address = address
        self.quorum = quorum
        self.process: Process | None = None
        self.life = 0
        self.gone = False
        """Taken away for good."""
        self.sync_s = FAST_S
        self.is_full = False
        self.rate = 1.0
        self.base_s = world.rng.uniform(0, 1000)
        self.flipped: list[_Flipped] = []
        """Bits at rest that are not what they were: file, offset, mask. None were before it was last opened."""
        self.unreadable = False
        self.is_old = False
        """Its disk was put back, and it has not been told so."""
        self.rng = random.Random(world.rng.random())
        self.disk = self._new_disk()
        self.papers = [Paper()]
        """What must be on the disk; several if a crash has left that open."""
        self.copies: list[tuple[FakeDisk, Paper]] = []
        if initialized:
            self.initialize()

    @property
    def paper(self) -> Paper:
        return self.papers[0]

    # --- The clock ---

    def clock(self) -> float:
        return self.base_s + self.rate * self.world.timeline.now

    def when(self, at: float) -> float:
        """When that will be."""
        return (at - self.base_s) / self.rate + 1e-6

    def jump(self, seconds: float) -> None:
        self.base_s += seconds
        if self.process is not None:
            self.process.enter(self.process.tick_at_once)

    # --- Processes ---

    def initialize(self) -> None:
        journal = Journal.open(self.disk, alone=True, rng=self.rng, segment_bytes=SEGMENT_BYTES)
        records = [Metadata(Status.VOTING, 0, NOBODY)]
        journal.append(records)
        self.paper.write(records)
        journal.close()

    def start(self) -> None:
        if self.process is not None or self.gone:
            return
        self.life = self.world.next_life()
        self.disk.room = 0 if self.is_full else _PLENTY
        self._be_readable(not self.unreadable)
        try:
            journal = Journal.open(self.disk, alone=self.quorum == 1, rng=self.rng, segment_bytes=SEGMENT_BYTES)
        except Down:
            self.world.trace(self.address, "goes down while it starts")
            self._after_crash(power=self.rng.random() < 0.5)
            self.start_soon()
            return
        except LogDamaged as damage:
            self.world.judge.refused_to_start(self, damage)
            return
        except (LogFull, OSError) as error:
            self.world.trace(self.address, "cannot start:", error)
            self.start_soon(1.0)
            return
        finally:
            self._be_readable(True)
        self.world.judge.opened(self, journal)
        self.flipped.clear()
        self.unreadable = False
        self.process = Process(self, journal, self.life)
        known, tail = journal.stored._replace(tail=()), len(journal.stored.tail)
        self.world.trace(self.address, f"starts, life {self.life}:", known, f"and {tail} more")
        self.world.network.up(self.process)
        self.process.enter(self.process.step)
        if self.process is not None:
            self.process.enter(self.process.refill)

    def _be_readable(self, readable: bool) -> None:
        for file in self.disk.files.values():
            file.is_unreadable = not readable

    def start_soon(self, within_s: float = 2.0) -> None:
        self.world.timeline.after(self.rng.uniform(0.01, within_s), self.start)

    def wrote(self, records: Sequence[Record]) -> None:
        """They are durable."""
        before = self.paper.metadata
        self.paper.write(records)
        self.world.judge.holds(self, records, before.status)
        if self.is_old and self.paper.metadata.member != before.member:
            self.is_old = False

    def crash(self, *, power: bool) -> None:
        """At this moment: the process ends, and what it was writing is there or not."""
        process = self.process
        if process is None:
            return
        self.world.trace(self.address, "loses power" if power else "is killed")
        if process.writing:
            before = clone(self.paper)
            self.disk.steps_left = self.rng.randrange(8)
            try:
                process.journal.append(process.writing)
            except Down:
                self.papers = [before, _with(before, process.writing)]
            except LogFull:
                pass
            except OSError:
                self.papers = [before, _with(before, process.writing)]
            else:
                self.papers = [_with(before, process.writing)]
        self._end(at_once=False)
        self._after_crash(power=power)

    def went_down(self, how: str) -> None:
        """The disk did not come back from a call."""
        power = self.rng.random() < 0.5
        self.world.trace(self.address, f"{'loses power' if power else 'is killed'} {how}")
        self._may_have_written()
        self._end(at_once=False)
        self._after_crash(power=power)
        self.start_soon()

    def end_process(self, why: str) -> None:
        """It ends by itself, and is started again."""
        if self.process is None:
            return
        self.world.trace(self.address, "ends:", why)
        self._may_have_written()
        self._end(at_once=self.rng.random() < 0.7)
        self._after_crash(power=False)
        self.start_soon()

    def restart(self) -> None:
        if self.process is not None:
            self.crash(power=False)
        self.start_soon(0.5)

    def _may_have_written(self) -> None:
        if self.process is not None and self.process.writing:
            self.papers = [self.paper, _with(self.paper, self.process.writing)]

    def _end(self, *, at_once: bool) -> None:
        process = self.process
        assert process is not None
        self.process = None
        process.ended = True
        self.world.network.down(process, at_once)
        process.give_up()

    def _after_crash(self, *, power: bool) -> None:
        self.disk.steps_left = None
        self.disk = self.disk.after_power_loss() if power else self.disk.after_process_crash()

    # --- The disk ---

    def fill(self, is_full: bool) -> None:
        self.is_full = is_full
        self.disk.room = 0 if is_full else _PLENTY

    def lose_disk(self) -> None:
        """And get an empty one."""
        assert self.process is None
        self.world.trace(self.address, "has lost its disk")
        self.disk, self.papers = self._new_disk(), [Paper()]
        self.copies.clear()
        self.flipped.clear()
        self.is_old = False

    def flip(self) -> None:
        """Up to three bits at rest, near each other, of any file of the journal."""
        names = [name for name in sorted(self.disk.files) if name.endswith(".journal")]
        if not names:
            return
        name = self.rng.choice(names)
        file = self.disk.files[name]
        used = len(file.now.rstrip(b"\0"))
        offset = self.rng.randrange(used if used and self.rng.random() < 0.8 else len(file.now))
        for _ in range(self.rng.choice((1, 1, 3))):
            where = min(len(file.now) - 1, offset + self.rng.randrange(8))
            mask = 1 << self.rng.randrange(8)
            self._flip(name, where, mask)
            self.flipped.append(_Flipped(name, where, mask, file.now[where]))
        self.world.trace(self.address, f"has flipped bits at {name}:{offset} of {used}")

    def _flip(self, name: str, offset: int, mask: int) -> None:
        file = self.disk.files[name]
        file.now[offset] ^= mask
        if offset < len(file.durable):
            durable = bytearray(file.durable)
            durable[offset] ^= mask
            file.durable = bytes(durable)

    def mend(self) -> None:
        """Somebody has brought a good copy of the damaged disk; what was written over since is good already."""
        for name, offset, mask, left in reversed(self.flipped):
            if name in self.disk.files and self.disk.files[name].now[offset : offset + 1] == bytes([left]):
                self._flip(name, offset, mask)
        self.flipped.clear()

    def keep_copy(self) -> None:
        if self.process is not None and not self.flipped:
            self.copies.append((self.disk.after_process_crash(), clone(self.paper)))
            del self.copies[:-3]

    def forget_strange_copies(self) -> None:
        """Those of a disk that had another id: what that one has said is not known here any more."""
        mine = self.paper.metadata.member
        self.copies = [copied for copied in self.copies if copied[1].metadata.member == mine]

    def put_back(self, number: int) -> None:
        assert self.process is None
        disk, paper = self.copies.pop(number)
        self.world.trace(self.address, "gets an old disk", f"{paper.last} {paper.end}")
        self.disk, self.papers = disk, [paper]
        self.copies.clear()
        self.flipped.clear()
        self.is_old = True

    def _new_disk(self) -> FakeDisk:
        return FakeDisk(self.rng, sector=_SECTOR)


def clone(paper: Paper) -> Paper:
    other = copy.copy(paper)
    other.values = dict(paper.values)
    return other


def _with(paper: Paper, records: Sequence[Record]) -> Paper:
    other = clone(paper)
    other.write(records)
    return other


def paper_of(journal: Journal) -> Paper:
    """What is on the disk, whatever should be."""
    stored = journal.stored
    paper = Paper()
    paper.metadata = Metadata(stored.status, stored.member, stored.promised, stored.placed)
    paper.promised, paper.last = stored.promised, stored.last
    paper.begin, paper.learned_to, paper.end = stored.begin, stored.learned_to, stored.end
    paper.values = dict(enumerate(journal.read(stored.begin, _TOO_MUCH), stored.begin))
    return paper
