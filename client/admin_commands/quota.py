"""The commands of `aurora_admin` about quotas (admin-commands sheet, section 4)."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import NamedTuple

from aurorad.api.calls import GetQuota, SetQuota
from aurorad.api.tasks import Resource, ResourceAggregate
from client.admin_commands.command import AdminCommand, ask
from client.amounts import cpus_ram_disk
from client.errors import CommandError, Exit
from client.scheduler import Scheduler
from client.session import Session

_AMOUNT = re.compile(r"(-?\d+)([a-z]*)", re.IGNORECASE | re.ASCII)
_BASES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_BASES |= {f"{base}b": size for base, size in _BASES.items() if base}


class _Amounts(NamedTuple):
    """CPUs; megabytes."""

    cpus: float
    ram_mb: int
    disk_mb: int

    def __add__(self, other: object) -> _Amounts:
        assert isinstance(other, _Amounts)
        return _Amounts(self.cpus + other.cpus, self.ram_mb + other.ram_mb, self.disk_mb + other.disk_mb)

    def lines(self) -> str:
        return f"\n  CPU\t{self.cpus:g} core(s)\n  RAM\t{self.ram_mb} MB\n  Disk\t{self.disk_mb} MB"

    def resources(self) -> frozenset[Resource]:
        return frozenset((Resource(num_cpus=self.cpus), Resource(ram_mb=self.ram_mb), Resource(disk_mb=self.disk_mb)))


def _set(given: Namespace, session: Session) -> None:
    _grant(session.scheduler(given.cluster), given.role, _given(given), frozenset())


def _increase(given: Namespace, session: Session) -> None:
    more, scheduler = _given(given), session.scheduler(given.cluster)
    result = ask(scheduler, GetQuota(given.role)).get_quota_result
    there = result.quota.resources if result is not None else frozenset()
    now = _Amounts(*cpus_ram_disk(there))
    session.terminal.info(f"Current quota for {given.role}:{now.lines()}")
    session.terminal.info(f"Attempting to update quota for {given.role} to{(now + more).lines()}")
    others = frozenset(one for one in there if one.num_cpus is one.ram_mb is one.disk_mb is None)
    _grant(scheduler, given.role, now + more, others)


def _grant(scheduler: Scheduler, role: str, amounts: _Amounts, others: frozenset[Resource]) -> None:
    """`others`, such as GPUs, cannot be changed here."""
    cpus, ram_mb, disk_mb = amounts
    scheduler.terminal.info(f"Setting quota for user:{role} cpu:{cpus:f} ram:{ram_mb} disk: {disk_mb}")
    ask(scheduler, SetQuota(role, ResourceAggregate(amounts.resources() | others)))


def _given(given: Namespace) -> _Amounts:
    return _Amounts(_cpus(given.cpu), _megabytes(given.ram), _megabytes(given.disk))


def _cpus(text: str) -> float:
    if not re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", text, re.ASCII):
        raise CommandError(Exit.FATAL, f"{text!r}: a number of CPUs such as 1.5 was expected")
    return float(text)


def _megabytes(text: str) -> int:
    """Of ``10g``; without a unit it is bytes. Parts of a megabyte do not count."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise CommandError(Exit.FATAL, f"{text!r}: an amount such as 10g, 512m or 1tb was expected")
    base = _BASES.get(found[2].lower())
    if base is None:
        bases = ", ".join(sorted(filter(None, _BASES)))
        raise CommandError(Exit.FATAL, f"Amount did not have a valid base: {text}.  Valid bases: {bases}")
    return int(int(found[1]) * base / (1 << 20))


SET = AdminCommand("cluster role cpu ram disk", _set)
INCREASE = AdminCommand("cluster role cpu ram disk", _increase)
