"""Which task somebody means to run: the options that choose and fill it in, and `thermos inspect`.

The language is imported only by who needs it: it takes its time.
"""

from __future__ import annotations

import json
import logging
import pprint
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from executor.templates import JsonValue
from executor.thermos.failure import fail

if TYPE_CHECKING:
    from aurorad.jobfile.tasks import ThermosTask

P = ParamSpec("P")
R = TypeVar("R")
Ports = tuple[tuple[str, int], ...]
Bindings = tuple[tuple[str, str], ...]

_log = logging.getLogger(__name__)


def _parse_ports(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> Ports:
    return tuple(_parse_port(word) for word in words)


def _parse_port(word: str) -> tuple[str, int]:
    name, _, number = word.rpartition(":")
    if not name or not number.isascii() or not number.isdecimal() or not 0 < int(number) < 65536:
        raise click.BadParameter(f"{word!r}: NAME:PORT was expected, with a port from 1 to 65535")
    return name, int(number)


def _parse_bindings(context: click.Context, option: click.Parameter, words: tuple[str, ...]) -> Bindings:
    from aurorad.jobfile.tasks import parse_environment

    try:
        return tuple(parse_environment(word) for word in words)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def filling(command: Callable[P, R]) -> Callable[P, R]:
    """The options `ports` and `bindings`."""
    port = click.option(
        "-P",
        "--port",
        "ports",
        multiple=True,
        metavar="NAME:PORT",
        callback=_parse_ports,
        help="The number of a port: {{thermos.ports[NAME]}}. May be repeated.",
    )
    environment = click.option(
        "-E",
        "--environment",
        "bindings",
        multiple=True,
        metavar="NAME=VALUE",
        callback=_parse_bindings,
        help="The value of a template: {{NAME}}. May be repeated.",
    )
    return port(environment(command))


def choosing(command: Callable[P, R]) -> Callable[P, R]:
    """The arguments `files`, and the options `wanted` and `as_json`."""
    task = click.option("--task", "wanted", metavar="TASKNAME", help="Which of the file's tasks, if it has several.")
    as_json = click.option("--json", "as_json", is_flag=True, help="The file is one task as JSON.")
    files = click.argument("files", nargs=-1, metavar="CONFIG")
    return task(as_json(files(command)))


def load(files: tuple[str, ...], wanted: str | None, as_json: bool, ports: Ports, bindings: Bindings) -> ThermosTask:
    """The task meant; ends the command if there is none."""
    if len(files) != 1:
        fail(f"Should specify precisely one config, instead got: {' '.join(files)}")
    from aurorad.jobfile.errors import ConfigError
    from aurorad.jobfile.tasks import load_tasks, pick

    try:
        tasks = load_tasks(Path(files[0]), as_json=as_json, bindings=bindings, ports=dict(ports), warn=_log.warning)
        return pick(tasks, wanted)
    except ConfigError as error:
        fail(str(error))


def of_command(name: str, cmdline: str, ports: Ports, bindings: Bindings) -> ThermosTask:
    """A task that is one command line; ends the command if it cannot be one."""
    from aurorad.jobfile.errors import ConfigError
    from aurorad.jobfile.tasks import of_command

    try:
        return of_command(name, cmdline, bindings=bindings, ports=dict(ports))
    except ConfigError as error:
        fail(str(error))


@click.command()
@choosing
@filling
def inspect(files: tuple[str, ...], wanted: str | None, as_json: bool, ports: Ports, bindings: Bindings) -> None:
    """Show the task of a file, and run nothing."""
    task = load(files, wanted, as_json, ports, bindings)
    click.echo(pprint.pformat(_frozen(json.loads(task.data)), indent=4))


def _frozen(tree: JsonValue) -> object:
    """Lists as tuples: they are as constant as the task."""
    if isinstance(tree, list):
        return tuple(_frozen(item) for item in tree)
    if isinstance(tree, dict):
        return {key: _frozen(value) for key, value in tree.items()}
    return tree
