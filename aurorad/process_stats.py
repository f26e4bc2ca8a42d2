"""What this process uses, under the original's names as far as they fit what is no JVM (vars sheet, section 3)."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Sequence

import psutil

from aurorad import __version__
from aurorad.vars import Vars

_RATE_OVER_S = 1.0  # as the original's sampling: what is read more often shows the same rate again


def declare_process(stats: Vars, now_ms: Callable[[], int], command: Sequence[str]) -> None:
    """`command` is shown to everybody: no secrets, please."""
    process = psutil.Process()
    with process.oneshot():
        age_s = max(0.0, now_ms() / 1000 - process.create_time())
    began_s = time.monotonic() - age_s  # from here on, whatever becomes of the wall clock
    stats.gauge("build.version", lambda: __version__)
    stats.gauge("jvm_prop_sun.java.command", lambda: " ".join(command))  # where the original has its flags
    stats.gauge("jvm_uptime_secs", lambda: int(time.monotonic() - began_s))
    stats.gauge("jvm_time_ms", now_ms)
    stats.gauge("jvm_available_processors", lambda: len(os.sched_getaffinity(0)))
    stats.gauge("jvm_threads_active", threading.active_count)
    stats.gauge("jvm_gc_collection_count", lambda: sum(generation["collections"] for generation in gc.get_stats()))
    stats.gauge("process_resident_memory_mb", lambda: process.memory_info().rss >> 20)
    stats.gauge("process_cpu_time_nanos", time.process_time_ns)
    stats.gauge("process_cpu_cores_utilized", _CpuRate().read)
    stats.gauge("process_open_fd_count", process.num_fds)
    stats.gauge("process_max_fd_count", lambda: process.rlimit(psutil.RLIMIT_NOFILE)[0])
    stats.gauge("system_load_avg", lambda: round(os.getloadavg()[0], 2))
    stats.gauge("system_free_physical_memory_mb", lambda: psutil.virtual_memory().free >> 20)


class _CpuRate:
    """Seconds of processor time used per second since the last reading, or since the one a second before."""

    def __init__(self) -> None:
        self._at_s = time.monotonic()
        self._used_s = time.process_time()
        self._rate = 0.0

    def read(self) -> float:
        at_s, used_s = time.monotonic(), time.process_time()
        passed_s = at_s - self._at_s
        if passed_s >= _RATE_OVER_S:
            self._rate = round((used_s - self._used_s) / passed_s, 3)
            self._at_s, self._used_s = at_s, used_s
        return self._rate
