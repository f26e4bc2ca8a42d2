"""Asking a task over HTTP to end by itself (executor sheet, section 10)."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping

import trio

from executor.http import NoAnswer, ask
from executor.task import Lifecycle

_TIMEOUT = "AURORA_HTTP_SIGNALER_TIMEOUT_SECS"
_DEFAULT_TIMEOUT_S = 1.0


async def ask_to_end(
    lifecycle: Lifecycle | None, ports: Mapping[str, int], over: trio.Event, log: logging.Logger
) -> None:
    """Calls the graceful endpoint, then the other one; waits after each for `over`, unless nobody answered."""
    http = lifecycle.http if lifecycle is not None else None
    if http is None or http.port not in ports:
        return
    timeout_s = _timeout_s(os.environ.get(_TIMEOUT), log)
    for endpoint, wait_s in (
        (http.graceful_shutdown_endpoint, http.graceful_shutdown_wait_secs),
        (http.shutdown_endpoint, http.shutdown_wait_secs),
    ):
        try:
            await ask("POST", ports[http.port], endpoint, timeout_s, body=False)
            handled = True
        except NoAnswer:
            handled = False
        log.info("Killing task, calling %s and waiting %s, handled is %s", endpoint, wait_s, handled)
        if handled:
            with trio.move_on_after(max(0, wait_s)):  # jobs may say less
                await over.wait()
                return


def _timeout_s(text: str | None, log: logging.Logger) -> float:
    try:
        seconds = float(text) if text is not None else _DEFAULT_TIMEOUT_S
    except ValueError:
        seconds = math.nan
    if 0 < seconds < math.inf:
        return seconds
    log.warning("%s=%s: seconds were expected; %g are taken", _TIMEOUT, text, _DEFAULT_TIMEOUT_S)
    return _DEFAULT_TIMEOUT_S
