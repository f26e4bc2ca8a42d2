"""The commands of `aurora_admin` that take hosts out of service and back (admin-commands sheet, section 6)."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterable
from pathlib import Path

from aurorad.api.calls import Call, EndMaintenance, MaintenanceStatus, SlaDrainHosts, StartMaintenance
from aurorad.api.enums import MaintenanceMode
from aurorad.api.results import HostStatus, Result
from aurorad.api.tasks import Hosts, PercentageSlaPolicy, SlaPolicy
from client import arguments
from client.admin_commands.command import AdminCommand
from client.errors import CommandError, Exit
from client.scheduler import Scheduler
from client.session import Session


def declare(parser: ArgumentParser) -> None:
    """How hosts are named."""
    parser.add_argument("--hosts", metavar="HOST,...", help="the hosts, by the names of their agents")
    parser.add_argument("--filename", metavar="FILE", type=Path, help="a file that names a host in each line")


def named(given: Namespace) -> frozenset[str]:
    """The hosts that are meant. Raises `CommandError`."""
    hosts: str | None = given.hosts
    file: Path | None = given.filename
    if (hosts is None) == (file is None):
        raise CommandError(Exit.FATAL, "Please specify either --filename or --hosts")
    if file is not None:
        try:
            lines, place = file.read_text().splitlines(), f" in {file}"
        except (OSError, UnicodeError) as error:
            raise CommandError(Exit.FATAL, f"--filename={file} cannot be read: {error}") from None
    else:
        lines, place = (hosts or "").split(","), ""
    names = frozenset(filter(None, (line.strip() for line in lines)))
    if not names:
        raise CommandError(Exit.FATAL, f"No valid hosts found{place}.")
    return names


def _deactivate(given: Namespace, session: Session) -> None:
    names, scheduler = named(given), session.scheduler(given.cluster)
    scheduler.terminal.info(f"Starting maintenance for: {shown(names)}")
    result = asked(scheduler, StartMaintenance(Hosts(names))).start_maintenance_result
    warn_of_unknown(names, result.statuses if result is not None else (), scheduler)


def _activate(given: Namespace, session: Session) -> None:
    names, scheduler = named(given), session.scheduler(given.cluster)
    scheduler.terminal.info(f"Ending maintenance for: {shown(names)}")
    asked(scheduler, EndMaintenance(Hosts(names)))
    for status in _in_order(statuses_of(scheduler, names)):
        if status.mode is not MaintenanceMode.NONE:
            scheduler.terminal.warn(f"{status.host} is DRAINING or in DRAINED")


def _status(given: Namespace, session: Session) -> None:
    names, scheduler = named(given), session.scheduler(given.cluster)
    _tell(statuses_of(scheduler, names), scheduler)


def _sla_drain(given: Namespace, session: Session) -> None:
    names, scheduler = named(given), session.scheduler(given.cluster)
    policy = PercentageSlaPolicy(given.default_percentage, given.default_duration)
    call = SlaDrainHosts(Hosts(names), SlaPolicy(percentage_sla_policy=policy), given.force_drain_timeout)
    scheduler.terminal.info(f"Draining, as promises to the tasks allow: {shown(names)}")
    result = asked(scheduler, call).drain_hosts_result
    statuses = result.statuses if result is not None else frozenset()
    warn_of_unknown(names, statuses, scheduler)
    _tell(statuses, scheduler)


def asked(scheduler: Scheduler, call: Call) -> Result:
    """Each of these calls may be made twice. Raises `CommandError`."""
    return scheduler.ask(call, code=Exit.FATAL, repeatable=True)


def statuses_of(scheduler: Scheduler, names: frozenset[str]) -> frozenset[HostStatus]:
    result = asked(scheduler, MaintenanceStatus(Hosts(names))).maintenance_status_result
    return result.statuses if result is not None else frozenset()


def _in_order(statuses: Iterable[HostStatus]) -> list[HostStatus]:
    return sorted(statuses, key=lambda status: status.host)


def _tell(statuses: Iterable[HostStatus], scheduler: Scheduler) -> None:
    for status in _in_order(statuses):
        scheduler.terminal.info(f"{status.host} is in state: {status.mode.name}")


def warn_of_unknown(names: frozenset[str], statuses: Iterable[HostStatus], scheduler: Scheduler) -> None:
    unknown = names - {status.host for status in statuses}
    if unknown:
        scheduler.terminal.warn(f"Skipping maintenance for unknown hosts: {shown(unknown)}")


def shown(names: Iterable[str]) -> str:
    return "{" + ", ".join(map(repr, sorted(names))) + "}"


def _declare_sla_drain(parser: ArgumentParser) -> None:
    declare(parser)
    parser.add_argument(
        "--default_percentage",
        type=percentage,
        default=95.0,
        help="of the instances must stay up, where jobs say nothing (default: 95)",
    )
    parser.add_argument(
        "--default_duration", type=duration, default=1800, help="so long they must have been up (default: 30m)"
    )
    parser.add_argument(
        "--force_drain_timeout", type=duration, default=604800, help="after this, take down what is left (default: 7d)"
    )


def percentage(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ArgumentTypeError(f"{text!r} is no percentage from 0 to 100")
    return value


def duration(text: str) -> int:
    """Seconds of ``1d2h30m15s``. Raises `ArgumentTypeError`."""
    try:
        return arguments.duration(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(f"{text!r} is no duration such as 1d2h30m15s") from None


DEACTIVATE = AdminCommand("cluster", _deactivate, declare)
ACTIVATE = AdminCommand("cluster", _activate, declare)
STATUS = AdminCommand("cluster", _status, declare)
SLA_DRAIN = AdminCommand("cluster", _sla_drain, _declare_sla_drain)
