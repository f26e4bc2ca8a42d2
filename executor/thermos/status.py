"""`thermos status` and `thermos read`: what checkpoints say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from executor.checkpoint import CheckpointError, read_stream, replay
from executor.thermos import words
from executor.thermos.failure import fail
from executor.thermos.roots import BadPattern, Found, Roots


@click.command()
@click.option(
    "--verbosity", type=click.IntRange(0), default=0, metavar="N", help="From 0 to 3: how much to say of each."
)
@click.option("--only", type=click.Choice(["active", "finished"]), help="Leave out the others.")
@click.argument("patterns", nargs=-1, metavar="[TASK_ID_REGEXP]...")
@click.pass_obj
def status(roots: Roots, verbosity: int, only: str | None, patterns: tuple[str, ...]) -> None:
    """Show the tasks of this machine.

    With arguments only those whose ids one of the regular expressions matches from their start.
    """
    try:
        found = list(roots.tasks(patterns, only))
    except BadPattern as error:
        fail(str(error))
    sections = []
    for title, active in (("Active tasks:", True), ("Finished tasks:", False)):
        lines = [line for task in found if task.active == active for line in _describe(task, verbosity)]
        if lines:
            sections.append("\n".join([title, *lines]))
    if not sections:
        hints = [f"\n(Not looked into, for lack of permission: {root})" for root in roots.closed()]
        fail("No tasks found." + "".join(hints))
    click.echo("\n\n".join(sections))


def _describe(task: Found, verbosity: int) -> Iterator[str]:
    try:
        owner = _owner(task.description)
        state = replay(read_stream(task.paths.runner))
    except FileNotFoundError:
        return  # it went while we looked
    except PermissionError:
        yield f"  {task.task_id:<20} - not yours to read"
    except CheckpointError:
        yield f"  {task.task_id:<20} - {words.CORRUPT}"
    else:
        yield from words.summary(task.task_id, owner, state, verbosity)


def _owner(file: Path) -> str:
    try:
        return file.owner()
    except KeyError:
        return str(file.stat().st_uid)


@click.command()
@click.option("--simple", is_flag=True, help="Record by record.")
@click.argument("files", nargs=-1, metavar="CHECKPOINT_FILE")
def read(simple: bool, files: tuple[str, ...]) -> None:
    """Show what a checkpoint file says.

    It is the file called runner, whichever version of Thermos wrote it.
    """
    if len(files) != 1:
        fail(f"Expected one checkpoint file, got {len(files)}")
    path = Path(files[0])
    if not path.is_file():
        fail(f"Could not find {path}")
    try:
        records = read_stream(path)
        if simple:
            for record in records:
                click.echo(f"CKPT: {record}")
            return
        state = replay(records)
    except (CheckpointError, OSError) as error:
        fail(f"Failed to recover from {path}: {error}")
    if state.header is None and not state.statuses:
        fail(f"{words.CORRUPT[0].upper()}{words.CORRUPT[1:]}")
    click.echo("\n".join(words.story(state)))
