"""`thermos kill`."""

from __future__ import annotations

import click

from executor.execution import wall_clock_ms
from executor.offline import kill_task
from executor.paths import TaskPaths
from executor.thermos.failure import fail
from executor.thermos.rights import Failed, as_user, owner_of
from executor.thermos.roots import BadPattern, Roots


@click.command()
@click.argument("patterns", nargs=-1, metavar="TASK_ID_REGEXP...")
@click.pass_obj
def kill(roots: Roots, patterns: tuple[str, ...]) -> None:
    """Kill active tasks at once.

    Their runners are killed with them, and finalizing processes do not run. Each argument is a regular expression that
    is matched from the start of the ids.
    """
    if not patterns:
        fail("Must specify tasks!")
    try:
        found = list(roots.tasks(patterns, "active"))
    except BadPattern as error:
        fail(str(error))
    if not found:
        click.echo("No active tasks matched.")
    failures = 0
    for task in found:
        click.echo(f"Killing {task.task_id}...", nl=False)
        try:
            _kill(task.paths)
        except (Failed, OSError) as error:
            failures += 1
            click.echo("failed.")
            click.echo(f"Could not kill {task.task_id}: {error}", err=True)
        else:
            click.echo("done.")
    if failures:
        raise SystemExit(1)


def _kill(paths: TaskPaths) -> None:
    def work() -> str:
        kill_task(paths, wall_clock_ms)
        return ""

    stream = paths.runner if paths.runner.exists() else paths.active
    as_user(owner_of(stream), work)
