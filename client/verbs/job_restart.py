"""`aurora job restart` (client-commands sheet, section 5.9)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from client import options, pages, tasks
from client.arguments import JobInstances
from client.command import Command
from client.errors import CommandError, Exit
from client.hooks import Hooks, Point
from client.restart import Restart, Settings
from client.scheduler import Scheduler
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.batches(parser)
    parser.add_argument(
        "--max-per-instance-failures", type=int, default=0, metavar="N", help="failures of one instance to put up with"
    )
    parser.add_argument("--watch-secs", type=int, default=30, metavar="N", help="seconds to stay RUNNING (30)")
    parser.add_argument(
        "--restart-threshold", type=options.positive, metavar="N", help="seconds in which to be RUNNING (no limit)"
    )
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
    given.config = given.config or given.config_file
    hooks = Hooks.given(given, path, session)
    scheduler = session.scheduler(path.cluster)
    active = tasks.active(scheduler, path.key)
    if given.strict and target.instances is not None:
        tasks.require_active(target.instances, active)
    instances = sorted(target.instances) if target.instances is not None else tasks.ids(active)
    if instances:
        _restart(given, scheduler, target, instances, hooks)
    else:
        session.terminal.info(f"No instances specified, and no active instances found in job {path}")
        session.terminal.info("Nothing to do.")
    if given.open_browser:
        session.open_page(pages.job(scheduler, path.key))
    session.terminal.out(f"Job {path} restarted successfully")
    return Exit.OK


def _restart(given: Namespace, scheduler: Scheduler, target: JobInstances, instances: list[int], hooks: Hooks) -> None:
    settings = Settings(
        given.batch_size,
        given.watch_secs,
        given.healthcheck_interval_seconds,
        given.max_per_instance_failures,
        given.max_total_failures,
        given.restart_threshold,
    )
    restart = Restart(scheduler, target.path, settings)
    asked = sorted(target.instances) if target.instances is not None else None
    point = Point(
        "restart",
        (hooks.key, asked, settings),
        {"config": hooks.config},
        older={"health_check_interval_seconds": settings.health_check_interval_seconds},
    )
    response = hooks.around(point, lambda: restart.run(instances))
    scheduler.require_ok(response, f"Error restarting job {target.path}:")
    if not restart.completed:
        text = f"Error restarting job {target.path}:\n\ttoo many instances failed; those left were not restarted"
        raise CommandError(Exit.COMMAND_FAILURE, text)


RESTART = Command(_declare, _run)
