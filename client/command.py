"""What a verb is: its options and what it does."""

from __future__ import annotations

import dataclasses
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from client.session import Session


@dataclasses.dataclass(frozen=True)
class Command:
    """`declare` adds options and arguments to a parser; `run` gets their values and returns the exit status.

    `run` raises `CommandError` to end the command early.
    """

    declare: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Session], int]
