"""Standard input, output and errors, which whoever started us may have closed, or may not read."""

from __future__ import annotations

import logging
import os
import sys

_log = logging.getLogger(__name__)


def have_standard_streams() -> None:
    """Put /dev/null where one is missing: else the next file that is opened, the log for one, would take its place.

    To be called before any file is opened for long. Our children get it, too.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  for good
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def tell(line: str) -> None:
    """To whoever reads our output. That nobody does is no reason to end."""
    try:
        print(line, flush=True)
    except OSError as error:
        _log.info("stdout takes nothing: %s", error.strerror)
        forget_what_nobody_takes()


def forget_what_nobody_takes() -> None:
    """Else Python tries what is left once more at its end, and changes the exit status, which supervisors go by."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
