"""`aurora job restart` (client-commands sheet, section 5.9)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from client import config, options, pages, tasks
from client.arguments import JobInstances
from client.command import Command
from client.errors import CommandError, Exit
from client.restart import Restart, Settings
from client.session import Session
from client.verbs.job_kill import require_active


def _declare(parser: ArgumentParser) -> None:
    options.batches(parser)
    parser.add_argument(
        "--max-per-instance-failures", type=int, default=0, metavar="N", help="failures of one instance to put up with"
    )
    parser.add_argument("--watch-secs", type=int, default=30, metavar="N", help="seconds to stay RUNNING (30)")
    options.poll_interval(parser)
    options.strict(parser)
    parser.add_argument("--force", action="store_true", help="accepted; means nothing")
    options.open_browser(parser)
    options.optional_config(parser)
    options.job_instances(parser)
    parser.add_argument("config_file", type=Path, nargs="?", metavar="pathname", help="the same as --config")


def _run(given: Namespace, session: Session) -> int:
    target: JobInstances = given.job
    path = target.path
    if given.max_total_failures < 0:
        text = f"max_total_failures option must be >0, but you specified {given.max_total_failures}"
        raise CommandError(Exit.INVALID_PARAMETER, text)
    file = given.config or given.config_file
    if file is not None:
        config.load(Namespace(**vars(given) | {"config_file": file}), path, session)
    scheduler = session.scheduler(path.cluster)
    active = [task.assigned_task.instance_id for task in tasks.active(scheduler, path.key)]
    if given.strict and target.instances is not None:
        require_active(target.instances, active)
    instances = sorted(target.instances) if target.instances is not None else active
    if instances:
        _restart(given, session, target, instances)
    else:
        session.terminal.info(f"No instances specified, and no active instances found in job {path}")
        session.terminal.info("Nothing to do.")
    if given.open_browser:
        session.open_page(pages.job(scheduler, path.key))
    session.terminal.out(f"Job {path} restarted successfully")
    return Exit.OK


def _restart(given: Namespace, session: Session, target: JobInstances, instances: list[int]) -> None:
    settings = Settings(
        given.batch_size,
        given.watch_secs,
        given.healthcheck_interval_seconds,
        given.max_per_instance_failures,
        given.max_total_failures,
    )
    if not Restart(session.scheduler(target.path.cluster), target.path, settings).run(instances):
        text = f"Error restarting job {target.path}:\n\ttoo many instances failed; those left were not restarted"
        raise CommandError(Exit.COMMAND_FAILURE, text)


RESTART = Command(_declare, _run)
