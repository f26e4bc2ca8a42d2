"""Asking a task over HTTP to end by itself (executor sheet, section 10)."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import trio

from executor.http import NoAnswer, ask
from executor.task import Lifecycle


async def ask_to_end(
    lifecycle: Lifecycle | None, ports: Mapping[str, int], over: trio.Event, log: logging.Logger
) -> None:
    """Calls the graceful endpoint, then the other one; waits after each for `over`, unless nobody answered."""
    http = lifecycle.http if lifecycle is not None else None
    if http is None or http.port not in ports:
        return
    timeout_s = float(os.environ.get("AURORA_HTTP_SIGNALER_TIMEOUT_SECS", "1"))
    for endpoint, wait_s in (
        (http.graceful_shutdown_endpoint, http.graceful_shutdown_wait_secs),
        (http.shutdown_endpoint, http.shutdown_wait_secs),
    ):
        try:
            await ask("POST", ports[http.port], endpoint, timeout_s)
            handled = True
        except NoAnswer:
            handled = False
        log.info("Killing task, calling %s and waiting %s, handled is %s", endpoint, wait_s, handled)
        if handled:
            with trio.move_on_after(wait_s):
                await over.wait()
                return
