"""Verbs of the older dialect whose output looked otherwise: `status`, `list_jobs`, `get_quota`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from aurorad.api import keys
from aurorad.api.calls import GetJobs, GetQuota
from aurorad.api.enums import ACTIVE_STATES, CronCollisionPolicy
from aurorad.api.tasks import JobConfiguration, ScheduledTask
from client import amounts, arguments, tasks
from client.classic import verb as v
from client.classic.verb import Dispatch
from client.errors import CommandError, Exit
from client.session import Session


def declare_status(parser: ArgumentParser) -> None:
    v.key(parser)


def status(given: Namespace, session: Session, dispatch: Dispatch) -> int:
    path = v.path(given)
    found = tasks.ask(session.scheduler(path.cluster), arguments.query(path.key))
    there = sorted(found, key=lambda task: task.assigned_task.instance_id)
    if not there:
        session.terminal.info("No tasks found.")
        return Exit.OK
    active = [task for task in there if task.status in ACTIVE_STATES]
    for title, some in (("Active", active), ("Inactive", [task for task in there if task not in active])):
        session.terminal.info(f"{title} Tasks ({len(some)})")
        for task in some:
            for line in _lines(task):
                session.terminal.info(line)
    return Exit.OK


def _lines(task: ScheduledTask) -> Iterator[str]:
    assigned, config = task.assigned_task, task.assigned_task.task
    job, host = config.job, f" on {assigned.slave_host}" if assigned.slave_host else ""
    yield (
        f"\trole: {job.role}, env: {job.environment}, name: {job.name}, shard: {assigned.instance_id}, "
        f"status: {task.status.name}{host}"
    )
    cpus, ram_mb, disk_mb = amounts.cpus_ram_disk(config.resources)
    yield f"\t  cpus: {cpus}, ram: {ram_mb} MB, disk: {disk_mb} MB"
    if assigned.assigned_ports:
        yield f"\t  ports: {dict(sorted(assigned.assigned_ports.items()))}"
    yield f"\t  failure count: {task.failure_count} (max {config.max_task_failures})"
    yield "\t  events:"
    for event in sorted(task.task_events, key=lambda event: event.timestamp):
        yield f"\t    {tasks.local_time(event.timestamp)} {event.status.name}: {event.message or ''}".rstrip()
    if config.metadata:
        yield "\t  metadata: " + ", ".join(sorted(f"{pair.key}: {pair.value}" for pair in config.metadata))


def declare_jobs(parser: ArgumentParser) -> None:
    parser.add_argument("role", type=arguments.cluster_role, metavar="CLUSTER/ROLE", help="whose jobs")
    parser.add_argument("--pretty", action="store_true", help="with -c: a line for each fact")
    parser.add_argument("-c", "--show-cron", "--show_cron", action="store_true", help="with their schedules")


def jobs(given: Namespace, session: Session, dispatch: Dispatch) -> int:
    cluster, role = given.role
    result = session.scheduler(cluster).ask(GetJobs(role)).get_jobs_result
    for job in sorted(result.configs if result is not None else (), key=lambda job: keys.canonical(job.key)):
        for line in _job_lines(f"{cluster}/{keys.canonical(job.key)}", job, given):
            session.terminal.out(line)
    return Exit.OK


def _job_lines(name: str, job: JobConfiguration, given: Namespace) -> Iterator[str]:
    if not given.show_cron:
        yield name
        return
    policy = (job.cron_collision_policy or CronCollisionPolicy.KILL_EXISTING).name
    if given.pretty:
        yield f"Job {name}:"
        yield f"\tcron schedule: {job.cron_schedule or 'none'}"
        yield f"\tcron policy:   {policy}"
    else:
        yield f"{name}\t'{job.cron_schedule or ''}'\t{policy}"


def declare_quota(parser: ArgumentParser) -> None:
    parser.add_argument("--cluster", required=True, help="which cluster to ask")
    parser.add_argument("role", help="whose quota")


def quota(given: Namespace, session: Session, dispatch: Dispatch) -> int:
    result = session.scheduler(given.cluster).ask(GetQuota(given.role)).get_quota_result
    if result is None:
        raise CommandError(Exit.FATAL, f"The scheduler of {given.cluster} tells no quota of {given.role}")
    cpus, ram_mb, disk_mb = amounts.cpus_ram_disk(result.quota.resources)
    session.terminal.info(
        f"Total allocated quota for {given.role}:\nCPU\t{cpus}\nRAM\t{ram_mb / 1024:f} GB\nDisk\t{disk_mb / 1024:f} GB"
    )
    return Exit.OK
