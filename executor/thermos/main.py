"""The `thermos` command: its global options, and where its commands are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

import aurorad
from executor.log import log_to_stderr
from executor.thermos import commandline
from executor.thermos.configs import inspect
from executor.thermos.failure import fail
from executor.thermos.gc import gc
from executor.thermos.kill import kill
from executor.thermos.roots import Roots
from executor.thermos.run import run, simplerun
from executor.thermos.status import read, status
from executor.thermos.tail import tail


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--root",
    "roots",
    multiple=True,
    type=Path,
    metavar="PATH",
    help="A folder of checkpoints, besides /var/run/thermos; the first one is where tasks are run. May be repeated.",
)
@click.option(
    "--mesos-root",
    "mesos",
    multiple=True,
    type=Path,
    metavar="PATH",
    help="An agent's work directory, besides /var/lib/mesos and aurorad's own (-work_dir/agent). May be repeated.",
)
@click.pass_context
def thermos(context: click.Context, roots: tuple[Path, ...], mesos: tuple[Path, ...]) -> None:
    """Run tasks on this machine, look at them, follow their output and kill them, with or without a scheduler.

    Options may stand before and after the command. Those in ~/.thermosrc are always given: key `options`, in a section
    named as the command, or in DEFAULT.
    """
    if context.invoked_subcommand is None:
        fail(f"Must supply one of the following commands: {', '.join(sorted(thermos.commands))}")
    log_to_stderr()
    context.obj = Roots.of(roots, mesos)


@thermos.command("help")
@click.argument("command", required=False)
@click.pass_context
def help_(context: click.Context, command: str | None) -> None:
    """Say what a command does."""
    assert context.parent is not None
    if command is None:
        click.echo(context.parent.get_help())
    elif (found := thermos.commands.get(command)) is None:
        fail(f"unknown command: {command}")
    else:
        click.echo(f"command {command}:")
        with click.Context(found, info_name=command, parent=context.parent) as inner:
            click.echo(found.get_help(inner))


@thermos.command()
def version() -> None:
    """Say which version this is."""
    click.echo(aurorad.__version__)


for _command in (gc, inspect, kill, read, run, simplerun, status, tail):
    thermos.add_command(_command)


def entry() -> None:
    """The `thermos` command."""
    try:
        words = commandline.arranged(sys.argv[1:], commandline.read_defaults(Path(os.path.expanduser("~/.thermosrc"))))
    except commandline.BadDefaults as error:
        fail(str(error))
    thermos(words, prog_name="thermos")


if __name__ == "__main__":
    entry()
