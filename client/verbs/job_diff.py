"""`aurora job diff` (client-commands sheet, section 5.2)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from aurorad.api.calls import GetJobUpdateDiff, GetTasksStatus, PopulateJobConfig
from aurorad.api.enums import ACTIVE_STATES
from aurorad.api.results import GetJobUpdateDiffResult
from aurorad.api.tasks import JobKey, TaskConfig, TaskQuery
from aurorad.api.updates import JobUpdateRequest
from client import arguments, config, diffs, options
from client.arguments import JobInstances, JobPath
from client.command import Command
from client.errors import CommandError, Exit
from client.scheduler import Scheduler
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.reading(parser)
    parser.add_argument(
        "--from",
        dest="other",
        type=arguments.job_path,
        metavar="CLUSTER/ROLE/ENV/NAME",
        help="compare with the tasks of this job instead",
    )
    options.job_instances(parser)
    options.config_file(parser)


def _run(given: Namespace, session: Session) -> int:
    target: JobInstances = given.job
    scheduler = session.scheduler(target.path.cluster)
    loaded = config.load_for(given, target.path, session, scheduler)
    job = loaded.sent
    populated = scheduler.ask(PopulateJobConfig(job), "Error loading configuration", Exit.INVALID_CONFIGURATION)
    result = populated.populate_job_result
    local = result.task_config if result is not None else job.task_config
    other: JobPath | None = given.other
    if other is not None or job.cron_schedule is not None:
        where = session.scheduler(other.cluster) if other is not None else scheduler
        key = other.key if other is not None else target.path.key
        _compare_all(_active_configs(where, key), [local] * job.instance_count, session)
        return Exit.OK
    request = JobUpdateRequest(
        job.task_config, job.instance_count, config.update_settings(loaded, target.instances or ())
    )
    answer = scheduler.ask(
        GetJobUpdateDiff(request), "Error getting diff info from scheduler", Exit.COMMAND_FAILURE
    ).get_job_update_diff_result
    _compare(answer or GetJobUpdateDiffResult(), local, session)
    return Exit.OK


def _compare(diff: GetJobUpdateDiffResult, local: TaskConfig, session: Session) -> None:
    """The summary, with the differences below the instances they concern."""
    print_line = session.terminal.out
    print_line("This job update will:")
    for label, groups in (("add", diff.add), ("remove", diff.remove)):
        if groups:
            print_line(diffs.line(label, groups))
    for group in diffs.by_instance(diff.update):
        shown = diffs.compare(diffs.show(group.config), diffs.show(local), session.outside.environ)
        print_line(f"{diffs.line('update', [group])}\nwith diff:\n\n{shown}")
    if diff.unchanged:
        print_line(diffs.line("not change", diff.unchanged))


def _active_configs(scheduler: Scheduler, key: JobKey) -> list[TaskConfig]:
    query = TaskQuery(job_keys=frozenset({key}), statuses=ACTIVE_STATES)
    failure = "Could not find job to diff against"
    result = scheduler.ask(GetTasksStatus(query), failure, Exit.INVALID_PARAMETER).schedule_status_result
    if result is None:
        raise CommandError(Exit.INVALID_PARAMETER, f"No tasks found for job {scheduler.cluster.name}/{key}")
    in_order = sorted(result.tasks, key=lambda task: task.assigned_task.instance_id)
    return [task.assigned_task.task for task in in_order]


def _compare_all(remote: list[TaskConfig], local: list[TaskConfig], session: Session) -> None:
    """Every task against every task: what a cron job is, and a job under another name."""
    texts = [",\n".join(map(diffs.show, tasks)) for tasks in (remote, local)]
    session.terminal.out(diffs.compare(texts[0], texts[1], session.outside.environ))


DIFF = Command(_declare, _run)
