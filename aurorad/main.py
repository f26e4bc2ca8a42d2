"""Flags to roles to one nursery."""

from __future__ import annotations


def entry() -> None:
    """The `aurorad` command."""
    raise SystemExit("aurorad: not assembled yet")
