"""How long single steps hold the event loop: measured always, shown in ``/vars``, logged when too long."""

from __future__ import annotations

import logging
import math
import time

import trio

from aurorad.vars import Vars

_log = logging.getLogger("aurorad.watchdog")

# Nothing may hold the loop for longer; everybody else waits meanwhile.
LIMIT_S = 0.050


class Watchdog(trio.abc.Instrument):
    """Pass to `trio.run(instruments=[...])`, or to `trio.lowlevel.add_instrument` later."""

    def __init__(self, stats: Vars) -> None:
        self._stats = stats
        self._since = math.inf  # added within a step, it has not seen that one begin
        self._longest_s = 0.0
        stats.declare("event_loop_long_holds")
        stats.gauge("event_loop_longest_hold_ms", lambda: round(self._longest_s * 1000, 1))

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._since = time.perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        held_s = time.perf_counter() - self._since
        if held_s > self._longest_s:
            self._longest_s = held_s
        if held_s > LIMIT_S:
            self._stats.count("event_loop_long_holds")
            _log.warning("%s held the event loop for %.0f ms", task.name, held_s * 1000)
