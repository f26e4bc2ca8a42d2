"""`aurora_admin list_updates`: what `aurora update list` shows, where administrators look for it."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from client.admin_commands.command import AdminCommand
from client.errors import CommandError, Exit
from client.session import Session
from client.verbs import update_list


def _list(given: Namespace, session: Session) -> None:
    try:
        given.which = update_list.job_filter(given.cluster)
    except ArgumentTypeError as error:
        raise CommandError(Exit.FATAL, str(error)) from None
    update_list.LIST.run(given, session)


def _declare(parser: ArgumentParser) -> None:
    update_list.declare_filters(parser)


LIST = AdminCommand("cluster", _list, _declare)
