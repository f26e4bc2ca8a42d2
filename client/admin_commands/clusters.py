"""What `aurora_admin` tells of a cluster without asking its scheduler (admin-commands sheet, section 3)."""

from __future__ import annotations

import json
import re
import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from client import clusters
from client.admin_commands.command import AdminCommand
from client.errors import CommandError, Exit
from client.session import Session


def _show_config(given: Namespace, session: Session) -> None:
    if given.export and not given.sh:
        raise CommandError(Exit.USAGE, "--export: it was expected together with --sh")
    cluster = clusters.find(session.clusters(), given.cluster)
    entry = {**cluster.settings, "name": cluster.name}
    if not given.sh:
        session.terminal.out(json.dumps(entry))
        return
    prefix = "export " if given.export else ""
    for name, text in _variables("AURORA_CLUSTER", entry):
        session.terminal.out(f"{prefix}{name}={shlex.quote(text)}")


def _variables(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Of a value and what is in it; the parts of names have ``_`` between."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _variables(f"{name}_{re.sub(r'[^A-Z0-9]', '_', str(key).upper())}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _variables(f"{name}_{index}", inner)
    elif isinstance(value, bool):
        yield name, str(int(value))
    else:
        yield name, "" if value is None else str(value)


def _declare_config(parser: ArgumentParser) -> None:
    parser.add_argument("--sh", action="store_true", help="as variables of a shell, AURORA_CLUSTER_NAME=value")
    parser.add_argument("--export", action="store_true", help="with 'export' before each")


def _show_scheduler(given: Namespace, session: Session) -> None:
    session.terminal.out(f"Found leading scheduler at: {session.leader(given.cluster).url.rstrip('/')}")


CONFIG = AdminCommand("cluster", _show_config, _declare_config)
SCHEDULER = AdminCommand("cluster", _show_scheduler)
