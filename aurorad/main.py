"""Flags to roles to one nursery."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from aurorad import __version__, flags
from aurorad.flags import Flags


def entry() -> NoReturn:
    """The `aurorad` command."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run until told to stop; the exit status: 0 after an orderly stop, 1 when something was wrong."""
    try:
        values = flags.parse(arguments)
    except flags.HelpRequested:
        print(flags.usage(), end="")
        return 0
    except flags.FlagError as error:
        print(f"aurorad: {error}", file=sys.stderr)
        return 1
    if values.role == ("executor",):
        from executor.main import run as run_executor  # alone: an executor must not pay for the scheduler

        return run_executor()
    return _run_daemon(values)


def _run_daemon(values: Flags) -> int:
    from aurorad.daemon import CannotStart, run  # not above: an executor never needs it

    logging.basicConfig(
        level=flags.log_level(values.log_to_stderr),
        stream=sys.stderr,
        format="%(asctime)s %(levelname).1s %(name)s: %(message)s",
    )
    log = logging.getLogger("aurorad")
    log.info("aurorad %s", " ".join([__version__, *flags.changed(values)]))
    try:
        run(values)
    except CannotStart as error:
        print(f"aurorad: {error}", file=sys.stderr)
        return 1
    except BaseException:
        log.critical("aurorad cannot go on", exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    entry()
