"""`thermos gc`: removes what finished tasks left (thermos-runner sheet, section 14)."""

from __future__ import annotations

import os
import pwd
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from aurorad.engine.retention import Ended, Policy, collectable
from executor.paths import TaskPaths
from executor.thermos.failure import fail
from executor.thermos.leftovers import Leftover, Parts, folders_of, remove, size, state_of, without
from executor.thermos.rights import Failed
from executor.thermos.roots import BadPattern, Roots
from executor.thermos.tail import log_base

_AGE = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_SPACE = re.compile(r"(\d+)([KMGT]?)B?", re.ASCII | re.IGNORECASE)
_POWERS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def parse_age(text: str) -> float:
    """``2d5h``, ``7200s``: seconds. Raises `ValueError`."""
    found = _AGE.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text!r}: an age such as 2d5h or 7200s was expected")
    days, hours, minutes, seconds = (int(number or 0) for number in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def parse_space(text: str) -> int:
    """``20G``: bytes. Raises `ValueError`."""
    found = _SPACE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r}: a space such as 20G or 500M was expected")
    return int(found[1]) << _POWERS[found[2].upper()]


def _age(context: click.Context, option: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else parse_age(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _space(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else parse_space(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option("--max_age", callback=_age, metavar="AGE", help="Collect tasks that ended longer ago, e.g. 2d5h.")
@click.option("--max_tasks", type=click.IntRange(0), metavar="NUM", help="Keep so many, the youngest.")
@click.option("--max_space", callback=_space, metavar="SPACE", help="Keep as many as fit into it, e.g. 20G.")
@click.option("--keep-data/--delete-data", "keep_data", default=True, help="The sandboxes. Kept unless you say so.")
@click.option("--keep-logs/--delete-logs", "keep_logs", default=True, help="The output of processes. The same.")
@click.option(
    "--keep-metadata/--delete-metadata", "keep_metadata", default=True, help="Checkpoints and descriptions. The same."
)
@click.option("--force", is_flag=True, help="Do not ask.")
@click.option("--dryrun", is_flag=True, help="Only show what would be removed.")
@click.argument("patterns", nargs=-1, metavar="[TASK_ID_REGEXP]...")
@click.pass_obj
def gc(
    roots: Roots,
    max_age: float | None,
    max_tasks: int | None,
    max_space: int | None,
    keep_data: bool,
    keep_logs: bool,
    keep_metadata: bool,
    force: bool,
    dryrun: bool,
    patterns: tuple[str, ...],
) -> None:
    """Remove what finished tasks left.

    Collected are the tasks whose ids match, or without ids those beyond the limits; what of them is removed, the
    --delete options say. Tasks that were run by an agent are left to it: it collects them itself.
    """
    parts = Parts(not keep_data, not keep_logs, not keep_metadata)
    own = Roots(roots.checkpoints, ())
    for root in own.checkpoints:
        click.echo(f"Analyzing root at {root}")
    try:
        finished = list(_leftovers(own, patterns))
    except BadPattern as error:
        fail(str(error))
    if patterns:
        chosen = finished
    else:
        click.echo("No task ids specified, using default collector.")
        chosen = choose(finished, parts, Policy(max_age, max_tasks, max_space), time.time())
    if not chosen:
        click.echo("No tasks to garbage collect.  Exiting")
        return
    safe = _safe(roots, chosen)
    if not (force or dryrun):
        for left in safe:
            _announce(left, parts)
        if not _agreed():
            click.echo("Cancelling gc.")
            return
    click.echo("Running gc...")
    failures = [left for left in safe if not _collect(left, parts, dryrun=dryrun)]
    if failures:
        raise SystemExit(1)


def _leftovers(roots: Roots, patterns: Sequence[str]) -> Iterator[Leftover]:
    for task in roots.tasks(patterns, "finished"):
        try:
            yield Leftover.of(task.paths)
        except FileNotFoundError:  # somebody else collects too
            continue
        except OSError as error:
            click.echo(f"Passing over {task.task_id}: {error}", err=True)


def choose(finished: Sequence[Leftover], parts: Parts, policy: Policy, now_s: float) -> list[Leftover]:
    """Those beyond the limits, oldest first."""
    by_id = {str(left.paths.finished): left for left in finished}
    sizes = {one: size(left, parts) if policy.max_bytes is not None else 0 for one, left in by_id.items()}
    ended = [Ended(one, left.ended_s, sizes[one]) for one, left in by_id.items()]
    return [by_id[one.id] for one in collectable(ended, policy, now_s)]


def _safe(roots: Roots, chosen: Sequence[Leftover]) -> list[Leftover]:
    """The chosen without folders that tasks need which stay, or anybody else."""
    ids = {left.paths for left in chosen}
    kept = [folder for task in roots.tasks() if task.paths not in ids for folder in _folders(task.paths)]
    precious = {Path.cwd(), Path(os.path.expanduser("~")), *roots.checkpoints, *roots.agents}
    safe = []
    for left in chosen:
        left, reasons = without(left, kept, {*precious, *_homes(left)})
        for reason in reasons:
            click.echo(f"Keeping what is not to be removed: {reason}", err=True)
        safe.append(left)
    return safe


def _folders(paths: TaskPaths) -> Iterator[Path]:
    state = state_of(paths)
    if state is not None and state.header is not None and state.header.sandbox:
        yield Path(state.header.sandbox)
        yield log_base(paths, state)


def _homes(left: Leftover) -> Iterator[Path]:
    try:
        if left.header is not None and left.header.user:
            yield Path(pwd.getpwnam(left.header.user).pw_dir)
    except KeyError:
        return


def _announce(left: Leftover, parts: Parts) -> None:
    click.echo(f"  {left.paths.task_id}  ended {time.asctime(time.localtime(left.ended_s))}")
    for folder in folders_of(left, parts).values():
        click.echo(f"    {folder}")


def _agreed() -> bool:
    click.echo("Continue [y/N]? ", nl=False)
    return sys.stdin.readline().strip().lower() == "y"


def _collect(left: Leftover, parts: Parts, *, dryrun: bool) -> bool:
    """False if something was left."""
    found = folders_of(left, parts)
    goes = Parts("data" in found, parts.logs and left.logs is not None, parts.metadata)
    words = " ".join(f"{part} ({'deleting' if gone else 'keeping'})" for part, gone in goes._asdict().items())
    click.echo(f"  Task {left.paths.task_id} {words} ", nl=False)
    if dryrun:
        click.echo()
        for part, folder in found.items():
            click.echo(f"    would run erase_{part}('{folder}')")
    else:
        try:
            remove(left, parts)
        except Failed as error:
            click.echo("failed.")
            click.echo(f"Could not collect {left.paths.task_id}: {error}", err=True)
            return False
    click.echo("done.")
    return True
