"""`thermos run` and `thermos simplerun`."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from executor.thermos import configs
from executor.thermos.configs import Bindings, Ports
from executor.thermos.failure import fail
from executor.thermos.orders import Refused, Wish
from executor.thermos.roots import Roots

if TYPE_CHECKING:
    from aurorad.jobfile.tasks import ThermosTask

P = ParamSpec("P")
R = TypeVar("R")


def _running(command: Callable[P, R]) -> Callable[P, R]:
    """The options `user`, `task_id` and `daemon`."""
    user = click.option("--user", metavar="USER", help="Run as this user; only root may. By default as you.")
    task_id = click.option(
        "--task_id",
        metavar="STRING",
        help="By default made of the task's name and the time. A task that is there already goes on.",
    )
    daemon = click.option("--daemon", is_flag=True, help="Run in the background.")
    return user(task_id(daemon(command)))


@click.command()
@configs.choosing
@configs.filling
@_running
@click.option(
    "--sandbox",
    type=Path,
    metavar="PATH",
    help="Where the task runs; by default a folder of its own in /var/lib/thermos/sandbox, or in sandboxes/ of --root.",
)
@click.option(
    "--enable_chroot", "chroot", is_flag=True, help="Let the sandbox be all that processes see; only root may."
)
@click.pass_obj
def run(
    roots: Roots,
    files: tuple[str, ...],
    wanted: str | None,
    as_json: bool,
    ports: Ports,
    bindings: Bindings,
    user: str | None,
    task_id: str | None,
    daemon: bool,
    sandbox: Path | None,
    chroot: bool,
) -> None:
    """Run the task of a configuration file.

    ^C ends the task: processes are asked to end, finalizing processes run, and after a minute all is killed; a second
    ^C kills at once. Exit status: 0 the task succeeded, 3 it failed, 4 it was killed, 5 it was lost, 1 nothing was run.
    """
    task = configs.load(files, wanted, as_json, ports, bindings)
    wish = _wish(roots, task, ports)._replace(user=user, task_id=task_id, sandbox=sandbox, chroot=chroot)
    _carry_out(wish, daemon=daemon, shown=False)


@click.command(context_settings={"allow_interspersed_args": False})
@configs.filling
@_running
@click.option("--name", default="simple", show_default=True, help="The name of the task and of its process.")
@click.argument("words", nargs=-1, metavar="[--] COMMANDLINE")
@click.pass_obj
def simplerun(
    roots: Roots,
    words: tuple[str, ...],
    ports: Ports,
    bindings: Bindings,
    user: str | None,
    task_id: str | None,
    daemon: bool,
    name: str,
) -> None:
    """Run a command line as a task.

    The task has one process, in a fresh folder for temporary files. The command line is everything from the first
    word that is no option. ^C and exit status are as of `thermos run`.
    """
    if not words:
        fail("Should specify a command line to run")
    cmdline = " ".join(words)
    click.echo(f"Running command: '{cmdline}'")
    task = configs.of_command(name, cmdline, ports, bindings)
    sandbox = None if task_id is not None else Path(tempfile.gettempdir(), f"thermos-{secrets.token_hex(8)}")
    wish = _wish(roots, task, ports)._replace(user=user, task_id=task_id, sandbox=sandbox)
    _carry_out(wish, daemon=daemon, shown=not daemon)


def _wish(roots: Roots, task: ThermosTask, ports: Ports) -> Wish:
    return Wish(roots.checkpoints[0], task.data, task.ports, dict(ports))


def _carry_out(wish: Wish, *, daemon: bool, shown: bool) -> None:
    from executor.thermos import carrying_out  # it needs an event loop, which takes its time

    try:
        status = carrying_out.in_background(wish) if daemon else carrying_out.in_foreground(wish, shown=shown)
    except Refused as error:
        fail(str(error))
    raise SystemExit(status)
