"""Flags to roles to one nursery. What some do not need is imported by who does: an executor starts with each task."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from aurorad import __version__
from aurorad.log_lines import LogLines

if TYPE_CHECKING:
    from aurorad.flags import Flags


def entry() -> NoReturn:
    """The `aurorad` command."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop. Exit status: 0 after an orderly stop, 75 to be started again, 1 if something is wrong.

    An executor has flags of its own, and statuses (`executor.main.run`).
    """
    if list(arguments[:2]) == ["log", "restore"]:
        from aurorad.storage.offline import main as restore

        return restore(arguments[2:])
    if list(arguments[:1]) == ["log"]:
        from aurorad.log.commands import main as look_after
        from aurorad.storage.description import Describer

        return look_after(arguments[1:], Describer)
    if list(arguments[:1]) == ["password"]:
        from aurorad.passwords import main as password

        return password(arguments[1:])
    executor_arguments = _of_executor(arguments)
    if executor_arguments is not None:
        return _run_executor(executor_arguments)
    return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    from aurorad import flags

    try:
        values = flags.parse(arguments)
    except flags.HelpRequested:
        print(flags.usage(), end="")
        return 0
    except flags.FlagError as error:
        print(f"aurorad: {error}", file=sys.stderr)
        return 1
    if values.role == ("launcher",):
        from executor.launcher import main as run_launcher

        return run_launcher()
    return _run_daemon(values)


def _of_executor(arguments: Sequence[str]) -> list[str] | None:
    """All arguments but the role, if that is executor."""
    for index, argument in enumerate(arguments):
        role = argument.lstrip("-") if argument.startswith("-") else ""
        words = 2 if role == "role" and list(arguments[index + 1 : index + 2]) == ["executor"] else 1
        if role == "role=executor" or words == 2:
            return [*arguments[:index], *arguments[index + words :]]
    return None


def _run_executor(arguments: Sequence[str]) -> int:
    from executor.guardian import guarded

    def run() -> int:
        from executor.main import run

        return run(arguments)

    return guarded(run, os.environ)


def _run_daemon(values: Flags) -> int:
    from aurorad import flags
    from aurorad.daemon import run
    from aurorad.lifecycle import START_AGAIN, StartAgain
    from aurorad.startup import CannotStart

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogLines())
    logging.basicConfig(level=flags.log_level(values.log_to_stderr), handlers=[handler])
    log = logging.getLogger("aurorad")
    log.info("aurorad %s", " ".join([__version__, *flags.changed(values)]))
    try:
        run(values)
    except CannotStart as error:
        print(f"aurorad: {error}", file=sys.stderr)
        return 1
    except StartAgain as why:
        log.warning("ended, to be started again: %s", why)
        return START_AGAIN
    except BaseException:
        log.critical("aurorad cannot go on", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    entry()
