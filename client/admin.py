"""The `aurora_admin` command (admin-commands sheet, sections 1 and 3)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from difflib import get_close_matches

from aurorad import __version__
from client import helptext
from client.errors import CommandError, Exit
from client.guard import guarded, real_world
from client.session import Outside, Session
from client.terminal import Terminal

_NOT_YET = (
    *("get_cluster_config", "host_drain", "increase_quota"),
    *("prune_tasks", "query", "reconcile_tasks", "set_quota", "sla_list_safe_domain", "sla_probe_hosts"),
)
_ABOUT_HOSTS = ("host_activate", "host_deactivate", "host_status", "sla_host_drain")
_ABOUT_STORAGE = (
    *("scheduler_backup_now", "scheduler_commit_recovery", "scheduler_delete_recovery_tasks"),
    *("scheduler_list_backups", "scheduler_print_recovery_tasks", "scheduler_snapshot"),
    *("scheduler_stage_recovery", "scheduler_unload_recovery"),
)
_WITH_OPTIONS = ("backup", *_ABOUT_HOSTS, *_ABOUT_STORAGE)
_COMMANDS = ("backup", "get_scheduler", "help", "version", *_ABOUT_HOSTS, *_ABOUT_STORAGE)
_GLOBAL_FLAGS = ("-v", "-q", "--verbose", "--bypass-leader-redirect")


def entry() -> None:
    """The `aurora_admin` command."""
    sys.exit(run(sys.argv[1:], real_world()))


def run(arguments: Sequence[str], outside: Outside) -> int:
    """The exit status."""
    verbose = any(argument in ("-v", "--verbose") for argument in arguments)
    terminal = Terminal(sys.stdout, sys.stderr, verbose, quiet="-q" in arguments)
    words = [argument for argument in arguments if argument not in _GLOBAL_FLAGS]
    with ExitStack() as closing:
        bypass = "--bypass-leader-redirect" in arguments
        session = Session(terminal, outside, closing, "Aurora Admin", bypass)
        return guarded(terminal, lambda: _dispatch(words, session))


def _dispatch(words: list[str], session: Session) -> int:
    match words:
        case ["help", command] if command in _WITH_OPTIONS:
            return _dispatch([command, "--help"], session)
        case ["help", command] if command not in _COMMANDS:
            raise _cannot(command)
        case ["help", _, _, *_]:
            raise CommandError(Exit.FATAL, "Please specify at most one subcommand.")
        case ["help" | "-h" | "--help" | "--long-help", *_]:
            session.terminal.out(_usage())
        case ["version" | "--version", *_]:
            session.terminal.out(helptext.version(__version__))
        case ["get_scheduler", cluster]:
            session.terminal.out(f"Found leading scheduler at: {session.leader(cluster).url.rstrip('/')}")
        case ["get_scheduler", *_]:
            raise CommandError(Exit.FATAL, "Incorrect parameters for get_scheduler\n\nget_scheduler CLUSTER")
        case [command, *rest] if command in _ABOUT_HOSTS:
            from client import hosts  # the HTTP library takes its time to load, and not every command talks

            return hosts.run(command, rest, session)
        case [command, *rest] if command in _ABOUT_STORAGE:
            from client import recovery

            return recovery.run(command, rest, session)
        case ["backup", *rest]:
            from client import export

            return export.run(rest, session)
        case []:
            session.terminal.out(_usage())
            return Exit.FATAL
        case [command, *_]:
            raise _cannot(command)
    return Exit.OK


def _cannot(command: str) -> CommandError:
    if command in _NOT_YET:
        return CommandError(Exit.INVALID_COMMAND, f"'aurora_admin {command}' is not available yet")
    close = get_close_matches(command, [*_COMMANDS, *_NOT_YET], n=1)
    hint = f": did you mean {close[0]}?" if close else ""
    return CommandError(Exit.FATAL, f"Subcommand {command} not found{hint or '.'}")


def _usage() -> str:
    rows = [f"    {name}" for name in _COMMANDS] + [f"    {name} (not yet)" for name in _NOT_YET]
    return "\n".join(["usage: aurora_admin COMMAND [options] ARGUMENTS", "", "Available commands:", *sorted(rows)])


if __name__ == "__main__":
    entry()
