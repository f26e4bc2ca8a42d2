"""`aurora job kill` and `aurora job killall` (client-commands sheet, sections 5.4 and 5.5)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import NamedTuple

from aurorad.api.calls import KillTasks
from client import options, pages, tasks
from client.arguments import JobInstances, JobPath
from client.command import Command
from client.errors import CommandError, Exit
from client.hooks import Hooks, Point
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
    killing = _Killing.of(given, path, session)
    active = tasks.active(killing.scheduler, path.key)
    tasks.warn_of_promises("Killing", active, session.terminal)
    if given.strict:
        tasks.require_active(wanted, active)
    session.terminal.info(f"Killing tasks for job: {path}")
    if given.no_batching:
        killing.at_once(sorted(wanted))
    else:
        killing.in_batches([instance for instance in tasks.ids(active) if instance in wanted])
    return _finished(killing, "Job kill succeeded")


def _killall(given: Namespace, session: Session) -> int:
    path: JobPath = given.job
    killing = _Killing.of(given, path, session)
    session.terminal.info(f"Killing tasks for job: {path}")
    if given.no_batching:
        killing.at_once([])
    else:
        killing.in_batches(tasks.ids(tasks.active(killing.scheduler, path.key)))
    return _finished(killing, "Job killall succeeded")


def _finished(killing: _Killing, text: str) -> int:
    session = killing.session
    if killing.given.open_browser:
        session.open_page(pages.job(killing.scheduler, killing.path.key))
    session.terminal.out(text)
    return Exit.OK


class _Killing(NamedTuple):
    """Kills of instances of one job, as the options say."""

    given: Namespace
    path: JobPath
    session: Session
    scheduler: Scheduler
    hooks: Hooks

    @classmethod
    def of(cls, given: Namespace, path: JobPath, session: Session) -> _Killing:
        """Raises `CommandError`, also if the file that is given for its hooks does not hold the job."""
        hooks = Hooks.given(given, path, session)
        return cls(given, path, session, session.scheduler(path.cluster), hooks)

    def in_batches(self, instances: Sequence[int]) -> None:
        terminal = self.session.terminal
        if not instances:
            terminal.error(f"No tasks to kill found for job {self.path}")
            return
        terminal.info(f"Instances to be killed: {list(instances)}")
        with terminal.display() as display:
            errors = 0
            for start in range(0, len(instances), self.given.batch_size):
                batch = list(instances[start : start + self.given.batch_size])

                def tell(ended: int, _: int, before: int = start) -> None:
                    display.show(f"Killing {self.path}", before + ended, len(instances))

                if self._kill_and_wait(batch, tell):
                    terminal.out(f"Successfully killed instances {batch}")
                    continue
                terminal.error(f"Instances {batch} were not killed in time")
                errors += 1
                if errors > self.given.max_total_failures:
                    text = "Exceeded maximum number of errors while killing instances"
                    raise CommandError(Exit.COMMAND_FAILURE, text)
        if errors:
            raise CommandError(Exit.COMMAND_FAILURE, "Errors occurred while killing instances")

    def at_once(self, instances: Sequence[int]) -> None:
        """No instances mean the whole job."""
        with self.session.terminal.display() as display:
            if self._kill_and_wait(instances, lambda ended, all_: display.show(f"Killing {self.path}", ended, all_)):
                return
        which = f"Instances {list(instances)}" if instances else "Instances"
        raise CommandError(Exit.TIMEOUT, f"{which} were not killed in time")

    def _kill_and_wait(self, instances: Sequence[int], tell: tasks.Tell) -> bool:
        key, message = self.path.key, self.given.message
        told = {"instances": list(instances) or None, "config": self.hooks.config, "message": message}
        response = self.hooks.around(
            Point("kill_job", (self.hooks.key,), told),
            lambda: self.scheduler.call(KillTasks(key, frozenset(instances), message)),
        )
        which = f"instances {list(instances)}" if instances else "all instances"
        self.scheduler.require_ok(response, f"Kill of {which} failed with error:")
        return tasks.wait(self.scheduler, key, tasks.terminal, tell, instances=instances, give_up=True)


KILL = Command(_declare_kill, _kill)
KILLALL = Command(_declare_killall, _killall)
