"""What somebody's own client adds to this one (client-internals sheet, sections 8.2 and 14).

from client.build import Build, CommandHook
from client.main import entry

class OnlyInOfficeHours(CommandHook): ...

entry(Build(command_hooks=(OnlyInOfficeHours(),)))
"""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from client.nouns import Noun

if TYPE_CHECKING:
    from client.auth import Mechanism
    from client.session import Session


class Context(NamedTuple):
    """The command that runs: its options and arguments, and what it has at hand."""

    options: Namespace
    session: Session


class CommandHook:
    """Runs before and after commands; `name` is for ``--skip-hooks``, and not ``all``."""

    name: str

    def get_nouns(self) -> Sequence[str]:
        return ()

    def get_verbs(self, noun: str) -> Sequence[str]:
        return ()

    def pre_command(self, noun: str, verb: str, context: Context, commandline: Sequence[str]) -> int:
        """Anything but 0 ends the command with this status, before it does anything."""
        return 0

    def post_command(self, noun: str, verb: str, context: Context, commandline: Sequence[str], result: int) -> None:
        """After a command that ended with 0."""


class Plugin:
    """Adds to every verb. Each of its methods may raise `CommandError`, which ends the command."""

    def declare(self, parser: ArgumentParser) -> None:
        """Add options."""

    def before_dispatch(self, arguments: list[str]) -> list[str]:
        """The arguments to go on with."""
        return arguments

    def before_execution(self, context: Context) -> None: ...

    def after_execution(self, context: Context, result: int) -> None:
        """What it raises is logged, and changes nothing."""


@dataclasses.dataclass(frozen=True)
class Build:
    """`hooks` surround calls like those of job files, and before them; `mechanisms` are for `auth_mechanism`."""

    hooks: tuple[object, ...] = ()
    command_hooks: tuple[CommandHook, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    nouns: Mapping[str, Noun] = dataclasses.field(default_factory=dict)
    mechanisms: Mapping[str, Mechanism] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(hook.name == "all" for hook in self.command_hooks):
            raise ValueError("Invalid hook name 'all'")
