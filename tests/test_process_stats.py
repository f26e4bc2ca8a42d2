import os
import time

from aurorad import __version__
from aurorad.process_stats import declare_process
from aurorad.vars import Vars


def test_its_age_does_not_jump_with_the_clock() -> None:
    stats, day_ms = Vars(), 86_400_000
    now_ms = time.time_ns() // 1_000_000
    declare_process(stats, lambda: now_ms, ["aurorad"])
    before = stats.get("jvm_uptime_secs")
    assert isinstance(before, int)
    for jump in (-day_ms, 2 * day_ms):
        now_ms += jump
        age = stats.get("jvm_uptime_secs")
        assert isinstance(age, int)
        assert before <= age < before + day_ms // 1000


def test_a_process_shows_what_it_is_and_uses() -> None:
    stats = Vars()
    declare_process(stats, lambda: time.time_ns() // 1_000_000, ["aurorad", "-http_port=0"])
    values = stats.snapshot()
    assert values["build.version"] == __version__
    assert values["jvm_prop_sun.java.command"] == "aurorad -http_port=0"
    assert values["jvm_available_processors"] == len(os.sched_getaffinity(0))
    for name in ("process_open_fd_count", "process_max_fd_count", "process_resident_memory_mb", "jvm_threads_active"):
        value = values[name]
        assert isinstance(value, int)
        assert value > 0
    for name in ("jvm_uptime_secs", "process_cpu_time_nanos", "process_cpu_cores_utilized", "system_load_avg"):
        value = values[name]
        assert isinstance(value, int | float)
        assert value >= 0
