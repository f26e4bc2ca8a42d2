"""Manual pages, in the language of man(7), from what the commands themselves declare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from client.described import Described, Program

Section = tuple[str, str]
"""A title, and text in the language of man(7)."""


def page(program: Program, version: str, more: Iterable[Section] = ()) -> str:
    """The page of a program in section 1; `more` are sections behind its commands."""
    lines = [
        f'.TH {program.name.upper()} 1 "" "aurorad {version}" "User Commands"',
        ".SH NAME",
        f"{escaped(program.name)} \\- {escaped(program.summary)}",
        ".SH SYNOPSIS",
        f".B {escaped(program.name)}",
        escaped("NOUN VERB [options] ARGUMENTS" if program.groups else "COMMAND [options] ARGUMENTS"),
        ".SH COMMANDS",
    ]
    for command in program.commands:
        lines += _command(command)
    for title, text in more:
        lines += [f".SH {title.upper()}", text]
    return "\n".join(lines) + "\n"


def _command(command: Described) -> Iterator[str]:
    yield f".SS {escaped(' '.join(command.words))}"
    yield escaped(f"{command.summary.rstrip('.')}.")
    yield ".PP"
    yield f".B {escaped(command.usage)}"
    for name, text in command.arguments:
        yield from entry(f"\\fI{escaped(name)}\\fR", text)
    for option in command.options:
        value = f" \\fI{escaped(option.value)}\\fR" if option.value is not None else ""
        names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in option.names)
        yield from entry(names + value, option.help)


def entry(term: str, text: str) -> Iterator[str]:
    """A term, which is escaped already, and what it means."""
    yield ".TP"
    yield term
    yield escaped(text or "-")


def escaped(text: str) -> str:
    """Text as it is, whatever characters it has."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in ".'" else line for line in plain.splitlines())
