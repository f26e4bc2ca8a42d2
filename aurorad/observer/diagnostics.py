"""What operators and scripts ask of the observer itself (observer sheet, section 9)."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Callable

import msgspec
import psutil
from quart import Blueprint, Response

from aurorad import __version__, introspection
from aurorad.observer.observer import Observer
from aurorad.vars import Vars


def declare(statistics: Vars, observer: Observer, now_ms: Callable[[], int]) -> None:
    started_ms, process = now_ms(), psutil.Process()
    statistics.gauge("build.version", lambda: __version__)
    statistics.gauge("process_resident_memory_mb", lambda: process.memory_info().rss >> 20)
    statistics.gauge("process_cpu_time_nanos", time.process_time_ns)
    statistics.gauge("process_open_fd_count", process.num_fds)
    statistics.gauge("sys.uptime", lambda: (now_ms() - started_ms) / 1000)
    statistics.gauge("sys.version", lambda: sys.version.replace("\n", " "))
    statistics.gauge("sys.platform", lambda: sys.platform)
    statistics.gauge("sys.executable", lambda: sys.executable)
    statistics.gauge("sys.prefix", lambda: sys.prefix)
    statistics.gauge("sys.exec_prefix", lambda: sys.exec_prefix)
    statistics.gauge("sys.uname", lambda: " ".join(platform.uname()))
    statistics.gauge("observer_active_tasks", lambda: len(observer.ids("active")))
    statistics.gauge("observer_finished_tasks", lambda: len(observer.ids("finished")))


def diagnostics(statistics: Vars) -> Blueprint:
    blueprint = Blueprint("diagnostics", __name__)

    @blueprint.get("/vars")
    async def all_vars() -> Response:
        return _text("".join(f"{name} {value}\n" for name, value in statistics.snapshot().items()))

    @blueprint.get("/vars/<name>")
    async def one_var(name: str) -> Response:
        values = statistics.snapshot()
        return _text(str(values[name])) if name in values else _text("Unknown exported variable", 404)

    @blueprint.get("/vars.json")
    async def json_vars() -> Response:
        return Response(msgspec.json.encode(statistics.snapshot()), content_type="application/json")

    @blueprint.get("/health")
    async def health() -> Response:
        return _text("OK")

    @blueprint.get("/threads")
    async def threads() -> Response:
        return _text(await introspection.as_text())

    @blueprint.get("/profile")
    async def profile() -> Response:
        return _text("Profiling is disabled")

    return blueprint


def _text(words: str, status: int = 200) -> Response:
    return Response(words, status, content_type="text/plain; charset=utf-8")
