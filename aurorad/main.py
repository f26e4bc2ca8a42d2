"""Flags to roles to one nursery. What some do not need is imported by who does: an executor starts with each task."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from aurorad import __version__
from aurorad.journal import is_journal, log_handler
from aurorad.log_writer import LogWriter
from aurorad.streams import forget_what_nobody_takes, have_standard_streams

if TYPE_CHECKING:
    from aurorad.flags import Flags

_STDERR = 2


def entry() -> NoReturn:
    """The `aurorad` command."""
    have_standard_streams()
    status = main(sys.argv[1:])
    forget_what_nobody_takes()
    sys.exit(status)


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop. The exit status: 0 after an orderly stop, or one of `lifecycle`'s.

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
        _complain(error)
        return 1
    if values.role == ("executor",):
        _complain(flags.FlagError("-role=executor: on the command line it was expected, not in a file of flags"))
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
    import faulthandler

    from aurorad import flags
    from aurorad.daemon import run
    from aurorad.lifecycle import DEFECT, START_AGAIN, WRONG, StartAgain
    from aurorad.notify import Notifier, status
    from aurorad.startup import CannotStart, InUse

    faulthandler.enable(_STDERR)  # a watchdog's SIGABRT, too, shows where it was
    writer = LogWriter(log_handler(sys.stderr, os.environ))
    logging.basicConfig(level=flags.log_level(values.log_to_stderr), handlers=[writer])
    log = logging.getLogger("aurorad")
    log.info("aurorad %s", " ".join([__version__, *flags.changed(values)]))
    notifier = Notifier.from_environment(os.environ)
    try:
        run(values, notifier)
    except CannotStart as error:
        notifier.tell(status(str(error)))
        writer.close()  # so that this is the last line
        _complain(error)
        return START_AGAIN if isinstance(error, InUse) else WRONG
    except StartAgain as why:
        log.warning("ended, to be started again: %s", why)
        return START_AGAIN
    except BaseException:
        log.critical("aurorad cannot go on", exc_info=True)
        return DEFECT
    finally:
        writer.close()
    return 0


def _complain(error: Exception) -> None:
    mark = "<3>" if is_journal(sys.stderr, os.environ) else ""  # systemd takes this for the level
    print(f"{mark}aurorad: {error}", file=sys.stderr)


if __name__ == "__main__":
    entry()
