"""How a command ends: every failure is one message and one exit status (client-commands sheet, section 2)."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable

from client.errors import CommandError, Exit, FatalError
from client.session import Outside
from client.terminal import Terminal


def guarded(terminal: Terminal, work: Callable[[], int]) -> int:
    """What `work` returns, or the status of how it failed; where it failed is told only to the verbose."""
    try:
        return int(work())
    except SystemExit as ending:  # the argument parser, which has said why
        return ending.code if isinstance(ending.code, int) else Exit.OK
    except FatalError as error:
        terminal.fatal(str(error))
        return error.code
    except CommandError as error:
        _trace(terminal)
        terminal.error(str(error))
        return error.code
    except KeyboardInterrupt:
        terminal.log_error("Command interrupted by user")
        return Exit.INTERRUPTED
    except BrokenPipeError:  # who read stopped reading; what is left must not fail at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FATAL
    except Exception as error:
        _trace(terminal)
        hint = "" if terminal.verbose else " (--verbose shows where)"
        terminal.error(f"Fatal error running command: {type(error).__name__}: {error}{hint}")
        return Exit.UNKNOWN_ERROR


def _trace(terminal: Terminal) -> None:
    if terminal.verbose:
        import traceback

        terminal.error(traceback.format_exc())


def real_world() -> Outside:
    """Called once, before anything is started."""
    _forget_the_bundle()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # not every terminal has all characters
    return Outside(dict(os.environ), time.monotonic, time.sleep, _open_url, _new_id, time.time)


def _forget_the_bundle() -> None:
    """Programs that a bundled client starts (ssh, diff, browsers) shall not find their libraries in the bundle."""
    if getattr(sys, "frozen", False):
        os.environ.pop("LD_LIBRARY_PATH", None)
        before = os.environ.pop("LD_LIBRARY_PATH_ORIG", None)
        if before is not None:
            os.environ["LD_LIBRARY_PATH"] = before


def _open_url(url: str) -> bool:
    import webbrowser

    return webbrowser.open_new_tab(url)


def _new_id() -> str:
    import uuid

    return str(uuid.uuid4())
