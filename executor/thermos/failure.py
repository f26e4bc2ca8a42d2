"""How a command ends that cannot do what it was asked."""

from __future__ import annotations

from typing import NoReturn

import click


def fail(text: str) -> NoReturn:
    """One message on standard error, and exit status 1."""
    click.echo(text, err=True)
    raise SystemExit(1)
