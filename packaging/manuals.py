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


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for program in (described.aurora(), described.aurora_admin(), _thermos()):
        (folder / f"{program.name}.1").write_text(manual.page(program, __version__, _FILES))
    (folder / "aurorad.8").write_text("\n".join(_daemon()) + "\n")


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


def _daemon() -> Iterator[str]:
    yield f'.TH AURORAD 8 "" "aurorad {__version__}" "System Administration"'
    yield from (".SH NAME", "aurorad \\- schedule jobs on this machine or a cluster, run and show their tasks")
    yield from (".SH SYNOPSIS", ".B aurorad", "[\\fI\\-flag=value\\fR ...]", ".SH DESCRIPTION")
    yield manual.escaped("Without flags: a scheduler, an engine and an observer of this machine in one process.")
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
