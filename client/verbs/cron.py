"""`aurora cron schedule | deschedule | start | show` (client-commands sheet, section 8)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from aurorad.api.calls import DescheduleCronJob, GetJobs, ScheduleCronJob, StartCronJob
from client import config, options, pages
from client.arguments import JobPath
from client.command import Command
from client.errors import CommandError, Exit
from client.hooks import Hooks, Point
from client.session import Session


def _declare_schedule(parser: ArgumentParser) -> None:
    options.reading(parser)
    options.job_key(parser)
    options.config_file(parser)


def _schedule(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    scheduler = session.scheduler(path.cluster)
    job = config.load_for(given, path, session, scheduler).sent
    if job.cron_schedule is None:
        text = 'Non-cron jobs may only be created with "aurora job create" command'
        raise CommandError(Exit.COMMAND_FAILURE, text)
    session.terminal.info(f"Registering job {path.key.name} with cron")
    scheduler.ask(ScheduleCronJob(job), f"Error scheduling cron job {path}:")
    session.terminal.out(f"Cron job scheduled, status can be viewed at {pages.job(scheduler, path.key)}")
    return Exit.OK


def _deschedule(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    session.terminal.info(f"Removing cron schedule for job {path}")
    session.scheduler(path.cluster).ask(DescheduleCronJob(path.key), f"Error descheduling cron job {path}:")
    session.terminal.out("Cron descheduling succeeded.")
    return Exit.OK


def _declare_start(parser: ArgumentParser) -> None:
    options.optional_config(parser)
    options.open_browser(parser)
    options.job_key(parser)


def _start(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    hooks = Hooks.given(given, path, session)
    scheduler = session.scheduler(path.cluster)
    session.terminal.info(f"Starting cron job: {path}")
    point = Point("start_cronjob", (hooks.key,), {"config": hooks.config})
    response = hooks.around(point, lambda: scheduler.call(StartCronJob(path.key)))
    scheduler.require_ok(response, f"Error starting cron job {path}:")
    if given.open_browser:
        session.open_page(pages.job(scheduler, path.key))
    return Exit.OK


def _show(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    call = GetJobs(path.key.role)
    answer = session.scheduler(path.cluster).ask(call, f"Error getting cron status for {path}", Exit.INVALID_PARAMETER)
    jobs = answer.get_jobs_result.configs if answer.get_jobs_result is not None else ()
    for job in jobs:
        if job.key == path.key and job.cron_schedule is not None:
            session.terminal.out(f"{path}\t {job.cron_schedule}")
            return Exit.OK
    raise CommandError(Exit.INVALID_PARAMETER, f"No cron entry found for job {path}")


SCHEDULE = Command(_declare_schedule, _schedule)
DESCHEDULE = Command(options.job_key, _deschedule)
START = Command(_declare_start, _start)
SHOW = Command(options.job_key, _show)
