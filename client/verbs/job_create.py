"""`aurora job create` (client-commands sheet, section 5.1)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from aurorad.api.calls import CreateJob
from client import arguments, config, options, pages, plans, tasks
from client.arguments import JobPath
from client.command import Command
from client.errors import CommandError, Exit
from client.hooks import Hooks, Point
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.reading(parser)
    options.wait_until(parser)
    options.dry_run(parser)
    options.open_browser(parser)
    options.job_key(parser)
    options.config_file(parser)


def _run(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    scheduler = session.scheduler(path.cluster)
    loaded = config.load_for(given, path, session, scheduler)
    job = loaded.sent
    if job.cron_schedule is not None:
        text = 'Cron jobs may only be scheduled with "aurora cron schedule" command'
        raise CommandError(Exit.COMMAND_FAILURE, text)
    if given.dry_run:
        return plans.show(scheduler, CreateJob(job), "Job creation would fail due to error:")
    session.terminal.info(f"Creating job {path.key.name}")
    hooks = Hooks.of(session, path, loaded)
    response = hooks.around(Point("create_job", (hooks.config,)), lambda: scheduler.call(CreateJob(job)))
    scheduler.require_ok(response, "Job creation failed due to error:", Exit.COMMAND_FAILURE)
    page = pages.job(scheduler, path.key)
    if given.open_browser:
        session.open_page(page)
    tasks.wait_until(given.wait_until, scheduler, path)
    session.terminal.info(f"Checking status of {path}")
    if not tasks.ask(scheduler, arguments.query(path.key), code=Exit.COMMAND_FAILURE):
        raise CommandError(Exit.COMMAND_FAILURE, f"Error occurred while creating job {path}")
    session.terminal.out(f"Job create succeeded: job url={page}")
    return Exit.OK


CREATE = Command(_declare, _run)
