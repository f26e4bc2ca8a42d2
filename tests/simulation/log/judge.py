"""What must hold after every step. It knows everything: all disks, and all that was ever said."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aurorad.log.errors import LogDamaged
from aurorad.log.journal import Journal
from aurorad.log.messages import (
    NOBODY,
    Accepted,
    Beat,
    Caught,
    Configuration,
    Fetched,
    Forgotten,
    Heard,
    Message,
    Metadata,
    Promised,
    Proposal,
    Record,
    Status,
    Truncate,
    Value,
    Write,
    Wrote,
)
from aurorad.log.paxos import Elected
from tests.log.paper import Paper
from tests.simulation.log.history import Append, History, objections
from tests.simulation.log.machine import paper_of
from tests.simulation.log.timeline import Trace

if TYPE_CHECKING:
    from tests.simulation.log.machine import Machine
    from tests.simulation.log.process import Process

_TOO_MUCH = 1 << 40


class Judge:
    def __init__(self, trace: Trace, history: History, quorum: int) -> None:
        self.log: dict[int, Value] = {}
        """What was chosen, as far as anybody has learned it."""
        self.acked: dict[int, bytes] = {}
        self.leaders: dict[Proposal, tuple[str, int]] = {}
        self.truncated_to = 0
        self.written: set[bytes] = set()
        """All that clients ever wanted written."""
        self._trace = trace
        self._history = history
        self._quorum = quorum
        self._held: dict[int, dict[Value, set[int]]] = {}
        """Which disks ever had a value at a position, durably."""
        self._wrote: dict[tuple[Proposal, int], Value] = {}
        self._acked_by: dict[Proposal, int] = {}  # the last position that it acknowledged
        self._tokens: dict[Proposal, int] = {}  # of the last beat
        self._accepted: dict[tuple[Proposal, int], tuple[int, int]] = {}  # who said that up to where, after which beat
        self._found_out: tuple[Proposal, int] | None = None

    # --- Disks ---

    def opened(self, machine: Machine, journal: Journal) -> None:
        found = paper_of(journal)
        expected = next((paper for paper in machine.papers if _same(paper, found)), None)
        harmed = bool(machine.flipped) or machine.unreadable
        stored = journal.stored
        forgot = (stored.status, stored.member, stored.promised) == (Status.RECOVERING, 0, NOBODY)
        if journal.damage is not None:
            self._trace(machine.address, "has found damage:", journal.damage)
            if not harmed:
                self._violated("a crash is no damage", f"{machine.address}: {journal.damage}")
        if expected is None and not (harmed and forgot):
            self._violated(
                "what was written survives a crash",
                f"{machine.address} has {_tell(found)}, not {' or '.join(map(_tell, machine.papers))}",
            )
        machine.papers = [expected or found]
        if stored.member:
            self._hold(stored.member, found.begin, list(found.values.values()))
        for position in range(found.begin, found.learned_to):
            self._learned(machine.address, position, found.values[position])

    def refused_to_start(self, machine: Machine, damage: LogDamaged) -> None:
        self._trace(machine.address, "does not start:", damage)
        if not machine.flipped and not machine.unreadable:
            self._violated("a crash is no damage", f"{machine.address}: {damage}")

    def found_damage(self, process: Process, damage: LogDamaged) -> None:
        if not process.machine.flipped:
            self._violated("a crash is no damage", f"{process.address} while it runs: {damage}")

    def holds(self, machine: Machine, records: Sequence[Record], before: Status) -> None:
        """These are durable now."""
        member = machine.paper.metadata.member
        for record in records:
            if isinstance(record, Metadata) and before in (Status.EMPTY, Status.STARTING):
                self._initialized(machine, record)
            if isinstance(record, Wrote | Caught):
                self._hold(member, record.first, record.values)

    def _initialized(self, machine: Machine, now: Metadata) -> None:
        statuses = [other.paper.metadata.status for other in machine.world.here()]
        left = sum(status in (Status.STARTING, Status.VOTING) for status in statuses)
        if now.status is Status.VOTING and now.placed.configuration is None and left < 2 * machine.quorum - 1:
            self._violated("all begin together", f"{machine.address} votes, of all there are {statuses}")

    def _hold(self, member: int, first: int, values: Sequence[Value]) -> None:
        for position, value in enumerate(values, first):
            holders = self._held.setdefault(position, {}).setdefault(value, set())
            holders.add(member)
            if isinstance(value, Truncate) and len(holders) >= self._quorum:
                self.truncated_to = max(self.truncated_to, min(value.to, position))

    # --- What members say ---

    def said(self, process: Process, message: Message) -> None:
        paper, who = process.machine.paper, process.address
        match message:
            case Promised():
                self._votes(process, message.member, "promises")
                if message.proposal > paper.promised:
                    self._violated("said only what is durable", f"{who} says {message}, on disk is {paper.promised}")
                self._values_are_real(who, message.tail)
            case Accepted():
                self._votes(process, message.member, "accepts")
                if (paper.last, paper.end) < (message.proposal, message.end) and paper.learned_to < message.end:
                    self._violated("said only what is durable", f"{who} says {message}, on disk is {_tell(paper)}")
            case Beat(proposal, token):
                self._tokens[proposal] = token
            case Forgotten(proposal, member):
                self._found_out = (proposal, member)
            case Heard():
                if process.member.promised > message.proposal:
                    self._violated("what is promised is kept", f"{who} answers a beat: {message}")
            case Write():
                self._values_are_real(who, message.values)
                for position, value in enumerate(message.values, message.first):
                    known = self._wrote.setdefault((message.proposal, position), value)
                    if known != value and position >= message.learned:
                        self._violated(
                            "one value a proposal", f"{who} writes {value!r} at {position}, after {known!r}: {message}"
                        )
            case Fetched():
                for position, value in enumerate(message.values, message.first):
                    if self.log.get(position, value) != value:
                        self._violated(
                            "one value a position",
                            f"{who} serves {value!r} at {position}, where {self.log[position]!r} is",
                        )
                self._values_are_real(who, message.values)

    def heard(self, message: Message) -> None:
        """Before a member hears of it."""
        self._found_out = None
        if isinstance(message, Accepted):
            known = self._accepted.get((message.proposal, message.member), (0, 0))
            if message.end > known[0]:
                self._accepted[message.proposal, message.member] = message.end, self._tokens.get(message.proposal, 0)

    def was_heard(self, process: Process, message: Message) -> None:
        """After it was."""
        if not isinstance(message, Heard) or not process.leads or process.member.last != message.proposal:
            return
        if (message.proposal, message.member) not in self._accepted:
            return
        end, token = self._accepted[message.proposal, message.member]
        has_less = message.last != message.proposal or message.end < end
        if message.token > token and has_less and self._found_out != (message.proposal, message.member):
            self._violated(
                "an old disk is found out", f"{process.address} trusts {message}, which accepted up to {end}"
            )

    def _votes(self, process: Process, member: int, what: str) -> None:
        told: Metadata = process.machine.paper.metadata
        if told.status is not Status.VOTING or told.member != member:
            self._violated(
                "no vote before recovery", f"{process.address} {what} as {member}, on disk it is {told.status.name}"
            )

    def _values_are_real(self, who: str, values: Sequence[Value]) -> None:
        for value in values:
            if isinstance(value, bytes) and value not in self.written:
                self._violated("no damaged entry is served", f"{who} tells {value!r}, which nobody wrote")

    # --- What members learn ---

    def stands(self, process: Process) -> None:
        """After each step."""
        member = process.member
        if not member.begin <= member.learned_to <= member.end:
            self._violated("nothing breaks", f"{process.address}: {member.begin} {member.learned_to} {member.end}")
        if member.begin > self.truncated_to:
            self._violated(
                "only what was truncated is forgotten",
                f"{process.address} begins at {member.begin}, truncated is all before {self.truncated_to}",
            )

    def chosen(self, process: Process, first: int, values: Sequence[Value]) -> None:
        """It tells those who use the log."""
        who = process.address
        anew = process.delivered < first <= process.member.begin  # which may have moved on since those came
        if first != process.delivered and not anew:
            self._violated("each position once, in order", f"{who} goes on at {first}, after {process.delivered}")
        paper = process.machine.paper
        for position, value in enumerate(values, first):
            self._learned(who, position, value)
            if position >= paper.begin and paper.values.get(position) != value:
                self._violated("said only what is durable", f"{who} tells {position}, which is not on its disk")

    def _learned(self, who: str, position: int, value: Value) -> None:
        known = self.log.setdefault(position, value)
        if known is value:
            self._is_new(who, position, value)
        elif known != value:
            self._violated("one value a position", f"{who} has {value!r} at {position}, others have {known!r}")

    def _is_new(self, who: str, position: int, value: Value) -> None:
        if isinstance(value, Configuration):
            self._quorum = value.quorum
        holders = self._held.get(position, {}).get(value, ())
        if len(holders) < self._quorum:
            self._violated(
                "chosen by a quorum of disks", f"{who} has learned {position}, which {len(holders)} disks have"
            )

    def acknowledged(self, proposal: Proposal, first: int, appends: Sequence[Append]) -> None:
        for position, append in enumerate(appends, first):
            self.acked[position] = append.value
            if self.log[position] != append.value:
                self._violated(
                    "one value a position", f"{append.value!r} is acknowledged, {self.log[position]!r} is at {position}"
                )
        self._acked_by[proposal] = max(self._acked_by.get(proposal, -1), first + len(appends) - 1)

    def elected(self, process: Process, event: Elected) -> None:
        one = (process.address, process.life)
        if self.leaders.setdefault(event.proposal, one) != one:
            self._violated(
                "one leader a proposal", f"{one} and {self.leaders[event.proposal]} lead as {event.proposal}"
            )
        # Who is elected late may have been outbid long since.
        before = max((last for other, last in self._acked_by.items() if other < event.proposal), default=-1)
        if event.end <= before or process.delivered < event.end:
            self._violated(
                "what was acknowledged is kept",
                f"{process.address} leads from {event.end} on, acknowledged is up to {before}",
            )

    # --- The end ---

    def look_at_history(self) -> None:
        log = {position: value for position, value in self.log.items() if isinstance(value, bytes)}
        for objection in objections(self._history.appends, self._history.reads, log):
            self._violated("linearizable", objection)

    def look_at_disks(self, machines: Sequence[Machine]) -> None:
        """All is quiet: every disk has all that was acknowledged and not truncated."""
        for machine in machines:
            assert machine.process is not None
            journal = machine.process.journal
            values = journal.read(journal.begin, _TOO_MUCH)
            for position, value in enumerate(values[: journal.learned_to - journal.begin], journal.begin):
                self._learned(machine.address, position, value)
            lost = [position for position in self.acked if position >= journal.end]
            if lost:
                self._violated("what was acknowledged is kept", f"{machine.address} lacks {lost}")

    def broke(self, process: Process, error: Exception) -> None:
        tail = "".join(traceback.format_exception(error)[-6:])
        self._violated("nothing breaks", f"{process.address}: {type(error).__name__}: {error}\n{tail}")

    def _violated(self, rule: str, what: str) -> None:
        self._trace.violated(rule, what)


def _same(one: Paper, other: Paper) -> bool:
    return (
        (one.metadata.status, one.metadata.member) == (other.metadata.status, other.metadata.member)
        and (one.promised, one.last) == (other.promised, other.last)
        and (one.begin, one.learned_to, one.end) == (other.begin, other.learned_to, other.end)
        and one.values == other.values
        and one.placed() == other.placed()
    )


def _tell(paper: Paper) -> str:
    told = paper.metadata
    return (
        f"[{told.status.name} {told.member} promised {paper.promised} last {paper.last} "
        f"{paper.begin}-{paper.learned_to}-{paper.end} placed at {paper.placed().position}]"
    )
