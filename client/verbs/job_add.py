"""`aurora job add` (client-commands sheet, section 5.6)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from aurorad.api.calls import AddInstances
from aurorad.api.tasks import InstanceKey
from client import arguments, options, pages, tasks
from client.arguments import JobInstance
from client.command import Command
from client.errors import Exit
from client.hooks import Hooks, Point
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.open_browser(parser)
    options.optional_config(parser)
    options.wait_until(parser)
    parser.add_argument(
        "task", type=arguments.job_instance, metavar="CLUSTER/ROLE/ENV/NAME/INSTANCE", help="the instance to copy"
    )
    parser.add_argument("instance_count", type=options.positive, help="how many to add")


def _run(given: Namespace, session: Session) -> int:
    path, instance = target = _target(given)
    count: int = given.instance_count
    hooks = Hooks.given(given, path, session)
    scheduler = session.scheduler(path.cluster)
    active = tasks.active(scheduler, path.key)
    tasks.require_active({instance}, active)
    tasks.warn_of_promises("Adding", active, session.terminal)
    session.terminal.info(f"Adding {count} instances to {path} using the task config of instance {instance}")
    point = Point("add_instances", (hooks.key, target.instance, count), {"config": hooks.config})
    call = AddInstances(InstanceKey(path.key, instance), count)
    scheduler.require_ok(hooks.around(point, lambda: scheduler.call(call)), "Command failure:")
    if given.open_browser:
        session.open_page(pages.job(scheduler, path.key))
    first = max(tasks.ids(active)) + 1
    tasks.wait_until(given.wait_until, scheduler, path, range(first, first + count))
    return Exit.OK


def _target(given: Namespace) -> JobInstance:
    target: JobInstance = given.task
    return target


ADD = Command(_declare, _run)
