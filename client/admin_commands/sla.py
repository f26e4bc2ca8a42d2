"""The commands of `aurora_admin` that tell what jobs would miss (admin-commands sheet, section 7)."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Collection, Mapping
from pathlib import Path

from aurorad.api import keys
from aurorad.api.calls import GetTasksWithoutConfigs
from aurorad.api.enums import LIVE_STATES
from aurorad.api.tasks import JobKey, TaskQuery
from client.admin_commands import hosts
from client.admin_commands.command import AdminCommand, ask
from client.admin_commands.domain import GROUPINGS, Promise, Vector, groups, predictions, vector
from client.admin_commands.hosts import duration
from client.errors import CommandError, Exit
from client.options import positive
from client.session import Session

LEAST_INSTANCES = 10
_OVERRIDE = re.compile(r"([^/\s]+)/([^/\s]+)/([^/\s]+)/([^/\s]+)\s+(\S+)\s+(\S+)")


def live(session: Session, cluster: str, least_instances: int) -> Vector:
    """The jobs that count, as they are now."""
    result = ask(
        session.scheduler(cluster), GetTasksWithoutConfigs(TaskQuery(statuses=LIVE_STATES))
    ).schedule_status_result
    return vector(result.tasks if result is not None else (), session.outside.wall() * 1000, least_instances)


def promise(percentage: str, duration_text: str) -> Promise:
    """Raises `CommandError`."""
    try:
        share = float(percentage)
    except ValueError:
        share = 0.0
    if not 0 < share <= 100:
        raise CommandError(Exit.FATAL, f"Invalid percentage {percentage}. Must be within (0, 100].")
    try:
        return Promise(share, duration(duration_text))
    except ArgumentTypeError:
        raise CommandError(Exit.FATAL, f"Invalid time span: {duration_text}") from None


def grouping(given: Namespace) -> str:
    """Raises `CommandError`."""
    name: str = given.grouping
    if name not in GROUPINGS:
        raise CommandError(Exit.FATAL, f"Unknown grouping function {name}. Must be one of: {sorted(GROUPINGS)}")
    return name


def declare_grouping(parser: ArgumentParser) -> None:
    parser.add_argument("--grouping", default="by_host", metavar="NAME", help="which go down together: by_host or none")


def _list_safe(given: Namespace, session: Session) -> None:
    default, how = promise(given.percentage, given.duration), grouping(given)
    promises = _overrides(given.override_file, given.cluster) if given.override_file is not None else {}
    excluded = _chosen(given.exclude_hosts, given.exclude_file)
    included = _chosen(given.include_hosts, given.include_file)
    ups = live(session, given.cluster, given.min_job_instance_count)
    candidates = {up.host for tasks in ups.values() for up in tasks} - (excluded or set())
    if included is not None:
        candidates &= included
    for group in groups(candidates, how).values():
        found = predictions(ups, group, promises, default)
        if not all(one.is_safe for one in found):
            continue
        if not given.list_jobs:
            for host in group:
                session.terminal.out(host)
            continue
        for one in found:
            share, seconds = promises.get(one.job, default)
            job = f"{given.cluster}/{keys.canonical(one.job)}"
            session.terminal.out(f"{one.host}\t{job}\t{share:.2f}\t{seconds}")


def _declare_list_safe(parser: ArgumentParser) -> None:
    for letter, name in (("x", "exclude"), ("i", "include")):
        parser.add_argument(
            f"-{letter.upper()}", f"--{name}_file", type=Path, metavar="FILE", help="a host in each line"
        )
        parser.add_argument(f"-{letter}", f"--{name}_hosts", metavar="HOST,...", help=f"{name} these hosts")
    parser.add_argument(
        "-l", "--list_jobs", action="store_true", help="and the jobs there, with what they are promised"
    )
    parser.add_argument(
        *("-o", "--override_file", "--override_jobs"),
        type=Path,
        metavar="FILE",
        help="what some jobs are promised instead: CLUSTER/ROLE/ENV/JOB PERCENTAGE DURATION in each line",
    )
    declare_grouping(parser)
    _declare_least(parser)


def _declare_least(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--min_job_instance_count",
        type=positive,
        default=LEAST_INSTANCES,
        metavar="N",
        help=f"smaller jobs do not count ({LEAST_INSTANCES})",
    )


def _chosen(names: str | None, file: Path | None) -> frozenset[str] | None:
    """None if neither says anything."""
    if names is not None and file is not None:
        raise CommandError(Exit.FATAL, "Cannot specify both filename and list for the same option.")
    return hosts.named(Namespace(hosts=names, filename=file)) if names is not None or file is not None else None


def _overrides(file: Path, cluster: str) -> dict[JobKey, Promise]:
    """Those of this cluster. Raises `CommandError`."""
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeError) as error:
        raise CommandError(Exit.FATAL, f"--override_file={file} cannot be read: {error}") from None
    found = {}
    for line in filter(None, (line.strip() for line in lines)):
        match = _OVERRIDE.fullmatch(line)
        if match is None:
            raise CommandError(Exit.FATAL, f"Invalid line in {file}:{line}")
        of, role, environment, name, percentage, text = match.groups()
        if of == cluster:
            found[JobKey(role, environment, name)] = promise(percentage, text)
    return found


def _probe(given: Namespace, session: Session) -> None:
    names, default, how = hosts.named(given), promise(given.percentage, given.duration), grouping(given)
    ups = live(session, given.cluster, given.min_job_instance_count)
    for group in groups(names, how).values():
        tell(session, given.cluster, ups, group, default)


def tell(
    session: Session, cluster: str, ups: Vector, group: Collection[str], default: Promise, *, only_unsafe: bool = False
) -> frozenset[str]:
    """A line for each host and job; the hosts that are not safe."""
    promises: Mapping[JobKey, Promise] = {}
    found = predictions(ups, group, promises, default)
    for one in found:
        if not (only_unsafe and one.is_safe):
            wait = one.wait_s if one.wait_s is not None else "n/a"
            job = f"{cluster}/{keys.canonical(one.job)}"
            session.terminal.out(f"{one.host}\t{job}\t{one.percentage:.2f}\t{one.is_safe}\t{wait}")
    return frozenset(one.host for one in found if not one.is_safe)


def _declare_probe(parser: ArgumentParser) -> None:
    hosts.declare(parser)
    declare_grouping(parser)
    _declare_least(parser)


LIST_SAFE = AdminCommand("cluster percentage duration", _list_safe, _declare_list_safe)
PROBE = AdminCommand("cluster percentage duration", _probe, _declare_probe)
