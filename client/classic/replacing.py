"""The older dialect's `update` (client-commands sheet, section 12.5): it returns when the job is what its file says.

Services are updated by the scheduler. Jobs that run once, which it does not update, are ended and created anew.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from aurorad.api.calls import CreateJob, GetJobUpdateDiff, KillTasks, PopulateJobConfig
from aurorad.api.results import Response
from aurorad.api.updates import JobUpdateRequest
from client import arguments, config, tasks
from client.classic import verb as v
from client.classic.verb import Dispatch
from client.config import Loaded
from client.errors import CommandError, Exit, FatalError
from client.hooks import Hooks, Point
from client.scheduler import Scheduler
from client.session import Session


def declare(parser: ArgumentParser) -> None:
    v.file(parser)
    v.shards(parser)
    v.number(parser, "--updater_health_check_interval_seconds", 3, "what hooks are told")
    v.ignored(parser, "--force", action="store_true")


def update(given: Namespace, session: Session, dispatch: Dispatch) -> int:
    try:
        binds = [arguments.binding(text) for text in given.E]
    except ArgumentTypeError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    options = Namespace(config_file=Path(given.file), bind=binds, read_json=given.json)
    loaded = config.load(options, v.path(given), session)
    job = loaded.sent
    if job.cron_schedule is not None:
        status = dispatch(v.as_words(["cron", "schedule", *v.reading(given), given.key, given.file]), session)
        session.terminal.info("Cron template updated, next run will reflect changes")
        return status
    if job.task_config.is_service:
        status = _by_scheduler(given, session, dispatch)
    else:
        scheduler = session.scheduler(loaded.path.cluster)
        status = _anew(given, session, config.load_for(options, loaded.path, session, scheduler), scheduler)
    session.terminal.info("Update successful" if status == Exit.OK else "Update reverted")
    return status


def _by_scheduler(given: Namespace, session: Session, dispatch: Dispatch) -> int:
    pace = ["--healthcheck-interval-seconds", given.updater_health_check_interval_seconds]
    words = ["update", "start", "--wait", *pace, *v.reading(given), v.target(given), given.file]
    return dispatch(v.as_words(words), session)


def _anew(given: Namespace, session: Session, loaded: Loaded, scheduler: Scheduler) -> int:
    if given.shards is not None:
        raise FatalError("--shards: only services can be updated in part; a job that runs once is created anew")
    scheduler.ask(PopulateJobConfig(loaded.sent), "Update failed due to error:")  # before anything is ended
    instances = range(loaded.sent.instance_count)
    session.terminal.info(f"Examining instances: {list(instances)}")
    if _is_the_same(loaded, scheduler):
        session.terminal.info(f"Skipping unchanged instances: {list(instances)}")
        return Exit.OK
    hooks = Hooks.of(session, loaded.path, loaded)
    older = {"health_check_interval_seconds": given.updater_health_check_interval_seconds, "shards": None}
    point = Point("start_job_update", (hooks.config, None), {"instances": None}, older=older)
    response = hooks.around(point, lambda: _replace(loaded, scheduler))
    scheduler.require_ok(response, "Adding instances failed due to error:")
    session.terminal.info("Instances added")
    return Exit.OK


def _is_the_same(loaded: Loaded, scheduler: Scheduler) -> bool:
    request = JobUpdateRequest(
        loaded.sent.task_config, loaded.sent.instance_count, config.update_settings(loaded, ()), frozenset()
    )
    response = scheduler.call(GetJobUpdateDiff(request))
    diff = response.result.get_job_update_diff_result if response.result is not None else None
    return diff is not None and bool(diff.unchanged) and not (diff.add or diff.remove or diff.update)


def _replace(loaded: Loaded, scheduler: Scheduler) -> Response:
    key, terminal = loaded.path.key, scheduler.terminal
    there = tasks.ids(tasks.active(scheduler, key))
    if there:
        terminal.info(f"Killing instances: {there}")
        scheduler.ask(KillTasks(key, frozenset(there)), "Killing instances failed due to error:")
        if not tasks.wait(scheduler, key, tasks.terminal, lambda ended, total: None, instances=there, give_up=True):
            raise FatalError(f"Instances {there} were not killed in time")
        terminal.info("Instances killed")
    terminal.info(f"Adding instances: {list(range(loaded.sent.instance_count))}")
    return scheduler.call(CreateJob(loaded.sent))
