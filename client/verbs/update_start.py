"""`aurora update start` (client-commands sheet, section 7.1)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from aurorad.api.calls import GetJobUpdateDiff, StartJobUpdate
from aurorad.api.enums import ResponseCode
from aurorad.api.results import GetJobUpdateDiffResult, Response, StartJobUpdateResult
from aurorad.api.tasks import Metadata
from aurorad.api.updates import JobUpdateRequest
from client import config, diffs, options, pages, plans, updates
from client.arguments import JobInstances
from client.command import Command
from client.errors import CommandError, Exit
from client.hooks import Hooks, Point
from client.scheduler import Scheduler, messages
from client.session import Session

# Lets the scheduler's answer tell our own repeated request from somebody else's update.
_OWN_ID = "org.apache.aurora.client.update_id"


def _declare(parser: ArgumentParser) -> None:
    options.reading(parser)
    options.dry_run(parser)
    options.open_browser(parser)
    options.update_message(parser)
    parser.add_argument("--wait", action="store_true", help="return when the update has ended")
    parser.add_argument("--strict", action="store_true", help="accepted; means nothing")
    options.poll_interval(parser)
    options.job_instances(parser)
    options.config_file(parser)


def _run(given: Namespace, session: Session) -> int:
    target: JobInstances = given.job
    path = target.path
    scheduler = session.scheduler(path.cluster)
    loaded = config.load_for(given, path, session, scheduler)
    job = loaded.sent
    if job.cron_schedule is not None:
        text = 'Cron jobs may only be updated with "aurora cron schedule" command'
        raise CommandError(Exit.COMMAND_FAILURE, text)
    own_id = Metadata(_OWN_ID, session.outside.new_id())
    request = JobUpdateRequest(
        job.task_config,
        job.instance_count,
        config.update_settings(loaded, target.instances or ()),
        frozenset({own_id}),
    )
    if given.dry_run:
        return plans.show(scheduler, StartJobUpdate(request), "The update would not start due to error:")
    _print_summary(scheduler, request)
    session.terminal.info(f"Starting update for: {path.key.name}")
    hooks = Hooks.of(session, path, loaded)
    response = hooks.around(
        _point(hooks, given, request), lambda: scheduler.call(StartJobUpdate(request, given.message))
    )
    result = _started(scheduler, response, own_id)
    if result is None:
        session.terminal.out(messages(response))
        return Exit.OK
    page = pages.update(scheduler, result.key.job, result.key.id)
    session.terminal.out(f"Job update has started. View your update progress at {page}")
    if given.open_browser:
        session.open_page(page)
    return updates.wait(scheduler, result.key, updates.FORWARD) if given.wait else Exit.OK


def _point(hooks: Hooks, given: Namespace, request: JobUpdateRequest) -> Point:
    target: JobInstances = given.job
    instances = sorted(target.instances) if target.instances is not None else None
    metadata = {pair.key: pair.value for pair in request.metadata}
    return Point(
        "start_job_update",
        (hooks.config, given.message),
        {"instances": instances, "metadata": metadata},
        older={"health_check_interval_seconds": given.healthcheck_interval_seconds},
    )


def _print_summary(scheduler: Scheduler, request: JobUpdateRequest) -> None:
    result = scheduler.ask(
        GetJobUpdateDiff(request), "Error getting diff info from scheduler", Exit.COMMAND_FAILURE
    ).get_job_update_diff_result
    for line in diffs.summary(result or GetJobUpdateDiffResult()):
        scheduler.terminal.out(line)


def _started(scheduler: Scheduler, response: Response, own_id: Metadata) -> StartJobUpdateResult | None:
    """The update that runs now; None when there is nothing to change. Raises `CommandError`."""
    result = response.result.start_job_update_result if response.result is not None else None
    summary = result.update_summary if result is not None else None
    is_own = summary is not None and own_id in summary.metadata
    if response.response_code is ResponseCode.INVALID_REQUEST and is_own:
        return result  # the first of two identical requests was heard
    if response.response_code is not ResponseCode.OK:
        scheduler.require_ok(response, "Failed to start update due to error:")
    return result


START = Command(_declare, _run)
