"""Writes the manual pages of all programs into a folder: `make manuals`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from aurorad import __version__, flags
from client import described, manual
from client.described import Described, Option, Program
from executor.thermos.main import thermos

_FILES = [
    (
        "files",
        manual.escaped(
            "/etc/aurora/clusters.json, ~/.aurora/clusters.json: which clusters there are\n~/.netrc: credentials"
        ),
    )
]
_DAEMONS = {
    "aurorad": (
        "schedule jobs on this machine or a cluster, run and show their tasks",
        "Without flags: a scheduler, an engine and an observer of this machine in one process.",
    ),
    "aurora-scheduler": (
        "schedule jobs on a cluster",
        "One of a cluster's schedulers: aurorad with the flags in /etc/default/aurora-scheduler"
        " (/etc/sysconfig/aurora-scheduler), one a line, and those given here behind them."
        " `aurora-scheduler log ...` and `aurora-scheduler password` take no flags of the file.",
    ),
    "aurora-single": (
        "schedule jobs on this machine, run and show their tasks",
        "A whole cluster on this machine: aurorad with the flags in /etc/default/aurora-single"
        " (/etc/sysconfig/aurora-single), one a line, and those given here behind them.",
    ),
    "aurora-observer": (
        "show the tasks of this machine",
        "The observer of a worker: aurorad with the flags in /etc/default/thermos (/etc/sysconfig/thermos-observer),"
        " one a line, and those given here behind them.",
    ),
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for program in (described.aurora(), described.aurora_admin(), _thermos()):
        (folder / f"{program.name}.1").write_text(manual.page(program, __version__, _FILES))
    for name, does in _DAEMONS.items():
        (folder / f"{name}.8").write_text("\n".join(_daemon(name, *does)) + "\n")


def _thermos() -> Program:
    commands = tuple(_clicked(name, command) for name, command in sorted(thermos.commands.items()))
    return Program("thermos", "run tasks on this machine and look at them", (), commands)


def _clicked(name: str, command: click.Command) -> Described:
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    usage = " ".join(["thermos", name, "[options]", *(one.make_metavar(click.Context(command)) for one in arguments)])
    return Described(
        (name,),
        (command.help or "").strip().partition("\n\n")[0].replace("\n", " "),
        usage,
        tuple(_option(one, command) for one in options),
        (),
    )


def _option(option: click.Option, command: click.Command) -> Option:
    value = None if option.is_flag or option.count else option.make_metavar(click.Context(command))
    return Option((*option.opts, *option.secondary_opts), value, (), option.help or "")


def _daemon(name: str, summary: str, description: str) -> Iterator[str]:
    shown = manual.escaped(name)
    yield f'.TH {shown.upper()} 8 "" "aurorad {__version__}" "System Administration"'
    yield from (".SH NAME", f"{shown} \\- {summary}")
    yield from (".SH SYNOPSIS", f".B {shown}", "[\\fI\\-flag=value\\fR ...]", ".SH DESCRIPTION")
    yield manual.escaped(description)
    for line in flags.usage().splitlines()[2:]:
        text = line.strip()
        if line.startswith("      "):
            yield manual.escaped(text)
        elif line.startswith("  "):
            yield from (".TP", f"\\fB{manual.escaped(text)}\\fR")
        elif text.endswith(":") and not text.startswith("usage"):
            yield f".SH {manual.escaped(text[:-1]).upper()}"
        elif text and not text.startswith("usage"):
            yield from (".PP", manual.escaped(text))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
