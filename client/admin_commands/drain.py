"""`aurora_admin host_drain`, which judges by itself what jobs would miss (admin-commands sheet, section 6.4).

`sla_host_drain` leaves that to the scheduler, which knows what each job was promised, and sees all drains at once.
"""

from __future__ import annotations

import subprocess
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path

from aurorad.api.calls import DrainHosts, StartMaintenance
from aurorad.api.enums import MaintenanceMode
from aurorad.api.tasks import Hosts
from client.admin_commands import hosts, sla
from client.admin_commands.command import AdminCommand
from client.admin_commands.domain import Promise, groups
from client.errors import CommandError, Exit
from client.scheduler import Scheduler
from client.session import Session

_DEFAULT = Promise(95.0, 1800)
_LEAST_INSTANCES = 20
_POLL_S = 5.0
_WITHIN_S = 300.0


def _drain(given: Namespace, session: Session) -> None:
    names, how, promised = hosts.named(given), sla.grouping(given), _promise(given, session)
    script: Path | None = given.post_drain_script
    if script is not None and not script.exists():
        raise CommandError(Exit.FATAL, f"No such file: {script}")
    scheduler = session.scheduler(given.cluster)
    session.terminal.info(f"Starting maintenance for: {hosts.shown(names)}")
    result = hosts.asked(scheduler, StartMaintenance(Hosts(names))).start_maintenance_result
    statuses = result.statuses if result is not None else frozenset()
    hosts.warn_of_unknown(names, statuses, scheduler)
    left: set[str] = set()
    for group in groups(names & {status.host for status in statuses}, how).values():
        left |= _drain_group(group, promised, given.cluster, script, session)
    if left:
        _tell_left(sorted(left), given.unsafe_hosts_file, session)


def _drain_group(
    group: Iterable[str], promised: Promise, cluster: str, script: Path | None, session: Session
) -> frozenset[str]:
    """Those of the group that were not drained."""
    terminal, scheduler = session.terminal, session.scheduler(cluster)
    meant = frozenset(group)
    terminal.info(f"Beginning SLA check for {hosts.shown(meant)}")
    ups = sla.live(session, cluster, _LEAST_INSTANCES)
    unsafe = sla.tell(session, cluster, ups, meant, promised, only_unsafe=True)
    if unsafe:
        terminal.warn(
            f"Some hosts did not pass SLA check and will not be drained! Skipping hosts: {hosts.shown(unsafe)}"
        )
    else:
        terminal.info("All hosts passed SLA check.")
    late = _until_drained(meant - unsafe, scheduler)
    for host in sorted(meant - unsafe - late):
        if script is not None:
            subprocess.run([script.absolute(), host], check=False)
    return unsafe | late


def _until_drained(names: frozenset[str], scheduler: Scheduler) -> frozenset[str]:
    """Those that were not in time."""
    if not names:
        return names
    hosts.asked(scheduler, DrainHosts(Hosts(names)))
    deadline = scheduler.clock.now() + _WITHIN_S
    while True:
        statuses = hosts.statuses_of(scheduler, names)
        late = {status.host: status.mode for status in statuses if status.mode is not MaintenanceMode.DRAINED}
        if not late:
            return frozenset()
        if scheduler.clock.now() + _POLL_S > deadline:
            rows = "".join(f"\n\tHost:{host}\tStatus:{mode.name}" for host, mode in sorted(late.items()))
            scheduler.terminal.warn(f"Failed to move all hosts into DRAINED within 5 mins:{rows}")
            return frozenset(late)
        scheduler.terminal.info(f"Waiting for hosts to be in DRAINED: {hosts.shown(late)}")
        scheduler.clock.sleep(_POLL_S)


def _promise(given: Namespace, session: Session) -> Promise:
    overrides = (given.override_percentage, given.override_duration, given.override_reason)
    if all(value is None for value in overrides):
        return _DEFAULT
    if None in overrides:
        raise CommandError(
            Exit.FATAL, "All --override_* options are required when attempting to override default SLA values."
        )
    session.terminal.warn(
        f"{session.user()} overrides what jobs are promised, by {given.override_percentage} % for "
        f"{given.override_duration}: {given.override_reason}"
    )
    return sla.promise(given.override_percentage, given.override_duration)


def _tell_left(left: list[str], file: Path | None, session: Session) -> None:
    session.terminal.info("The following hosts WERE NOT DRAINED due to failed SLA check or external failures:")
    session.terminal.out("\n".join(left))
    if file is None:
        return
    try:
        file.write_text("\n".join(left) + "\n")
    except OSError as error:
        session.terminal.log_error(f"Failed to write into the output file: {error}")
    else:
        session.terminal.info(f"Written unsafe host names into: {file}")


def _declare(parser: ArgumentParser) -> None:
    hosts.declare(parser)
    sla.declare_grouping(parser)
    parser.add_argument("--post_drain_script", type=Path, metavar="PATH", help="run with each host that was drained")
    parser.add_argument("--override_percentage", metavar="P", help="so many percent of a job must stay up, not 95")
    parser.add_argument("--override_duration", metavar="D", help="so long they must have been up, not 30m")
    parser.add_argument("--override_reason", metavar="TEXT", help="why")
    parser.add_argument("--unsafe_hosts_file", type=Path, metavar="FILE", help="where to put the names of those left")


DRAIN = AdminCommand("cluster", _drain, _declare)
