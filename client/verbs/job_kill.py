"""`aurora job kill` and `aurora job killall` (client-commands sheet, sections 5.4 and 5.5)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from aurorad.api.calls import KillTasks
from aurorad.api.tasks import JobKey, ScheduledTask
from client import config, options, pages, tasks
from client.arguments import JobInstances, JobPath
from client.command import Command
from client.errors import CommandError, Exit
from client.scheduler import Scheduler
from client.session import Session


def _declare_common(parser: ArgumentParser) -> None:
    options.open_browser(parser)
    options.optional_config(parser)
    options.batches(parser)
    options.no_batching(parser)
    options.message(parser)


def _declare_kill(parser: ArgumentParser) -> None:
    _declare_common(parser)
    options.strict(parser)
    options.job_instances(parser)


def _declare_killall(parser: ArgumentParser) -> None:
    _declare_common(parser)
    options.job_key(parser)


def _kill(given: Namespace, session: Session) -> int:
    target: JobInstances = given.job
    path, wanted = target
    if wanted is None:
        raise CommandError(
            Exit.INVALID_PARAMETER,
            "The instances list cannot be omitted in a kill command!; use killall to kill all instances",
        )
    _check_config(given, path, session)
    scheduler = session.scheduler(path.cluster)
    active = tasks.active(scheduler, path.key)
    if any(_has_sla_policy(task) for task in active):
        session.terminal.out("WARNING: Killing instances without updating SlaPolicy.")
    there = _ids(active)
    if given.strict:
        require_active(wanted, there)
    session.terminal.info(f"Killing tasks for job: {path}")
    if given.no_batching:
        _at_once(given, session, scheduler, path.key, sorted(wanted))
    else:
        _in_batches(given, session, scheduler, path, [instance for instance in there if instance in wanted])
    return _finished(given, session, scheduler, path.key, "Job kill succeeded")


def _killall(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    _check_config(given, path, session)
    scheduler = session.scheduler(path.cluster)
    session.terminal.info(f"Killing tasks for job: {path}")
    if given.no_batching:
        _at_once(given, session, scheduler, path.key, [])
    else:
        _in_batches(given, session, scheduler, path, _ids(tasks.active(scheduler, path.key)))
    return _finished(given, session, scheduler, path.key, "Job killall succeeded")


def require_active(wanted: frozenset[int], active: Sequence[int]) -> None:
    """Raises `CommandError` that names the instances nothing runs for."""
    unknown = sorted(wanted.difference(active))
    if unknown:
        raise CommandError(Exit.INVALID_PARAMETER, f"Invalid instance parameter: {unknown}")


def _check_config(given: Namespace, path: JobPath, session: Session) -> None:
    """The file given for its hooks must at least hold the job."""
    if given.config is not None:
        config.load(Namespace(**vars(given) | {"config_file": given.config}), path, session)


def _ids(active: Sequence[ScheduledTask]) -> list[int]:
    return [task.assigned_task.instance_id for task in active]


def _has_sla_policy(task: ScheduledTask) -> bool:
    policy = task.assigned_task.task.sla_policy
    return policy is not None and policy.coordinator_sla_policy is None


def _in_batches(
    given: Namespace, session: Session, scheduler: Scheduler, path: JobPath, instances: Sequence[int]
) -> None:
    terminal = session.terminal
    if not instances:
        terminal.error(f"No tasks to kill found for job {path}")
        return
    terminal.info(f"Instances to be killed: {list(instances)}")
    errors = 0
    for start in range(0, len(instances), given.batch_size):
        batch = list(instances[start : start + given.batch_size])
        if _kill_and_wait(given, scheduler, path.key, batch):
            terminal.out(f"Successfully killed instances {batch}")
            continue
        terminal.error(f"Instances {batch} were not killed in time")
        errors += 1
        if errors > given.max_total_failures:
            raise CommandError(Exit.COMMAND_FAILURE, "Exceeded maximum number of errors while killing instances")
    if errors:
        raise CommandError(Exit.COMMAND_FAILURE, "Errors occurred while killing instances")


def _at_once(given: Namespace, session: Session, scheduler: Scheduler, key: JobKey, instances: Sequence[int]) -> None:
    """No instances mean the whole job."""
    if not _kill_and_wait(given, scheduler, key, instances):
        which = f"Instances {list(instances)}" if instances else "Instances"
        raise CommandError(Exit.TIMEOUT, f"{which} were not killed in time")


def _kill_and_wait(given: Namespace, scheduler: Scheduler, key: JobKey, instances: Sequence[int]) -> bool:
    which = f"instances {list(instances)}" if instances else "all instances"
    scheduler.ask(KillTasks(key, frozenset(instances), given.message), f"Kill of {which} failed with error:")
    return tasks.wait(scheduler, key, tasks.terminal, instances=instances, give_up=True)


def _finished(given: Namespace, session: Session, scheduler: Scheduler, key: JobKey, text: str) -> int:
    if given.open_browser:
        session.open_page(pages.job(scheduler, key))
    session.terminal.out(text)
    return Exit.OK


KILL = Command(_declare_kill, _kill)
KILLALL = Command(_declare_killall, _killall)
