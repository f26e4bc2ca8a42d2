"""What is installed: sizes, how long programs take to start, what an idle scheduler holds. After `make packages`."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

Figure = tuple[str, str, str]  # what, measured, goal

RUNS = 20
SETTLED_S = 20.0
DIST = Path(__file__).parents[2] / "dist"
PACKAGES = ("aurora-scheduler", "aurora-executor", "aurora-tools")


def figures() -> Iterator[Figure]:
    if not (DIST / "packages").exists():
        yield "packages", "not built", "make packages"
        return
    for name in PACKAGES:
        for kind, pattern in ((".deb", f"{name}_*.deb"), (".rpm", f"{name}-*.rpm")):
            for file in (DIST / "packages").glob(pattern):
                goal = "20 MB" if (name, kind) == ("aurora-tools", ".deb") else ""
                yield f"{name} {kind}", f"{file.stat().st_size / 1e6:.1f} MB", goal
    for bundle in ("aurorad", "aurora"):
        held = sum(
            path.stat().st_size for path in (DIST / bundle).rglob("*") if path.is_file() and not path.is_symlink()
        )
        yield f"bundle of {bundle}, unpacked", f"{held / 1e6:.1f} MB", ""
    yield "aurora version, bundled, median", _median(_version_s), "400 ms"
    yield "executor, bundled, to its first word to the agent, median", _median(_executor_s), "300 ms"
    yield "scheduler, bundled, idle (RSS)", f"{_idle_bytes() / 1e6:.0f} MB", "80 MB"


def _median(seconds: object) -> str:
    assert callable(seconds)
    seconds()  # the files are in memory then
    return f"{statistics.median(seconds() for _ in range(RUNS)) * 1000:.0f} ms"


def _version_s() -> float:
    started = time.perf_counter()
    subprocess.run([DIST / "aurora/aurora", "version"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _executor_s() -> float:
    """An agent is anybody whom it can connect to."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as agent:
        environment = {
            "PATH": os.environ["PATH"],
            "MESOS_AGENT_ENDPOINT": f"127.0.0.1:{agent.getsockname()[1]}",
            "MESOS_SLAVE_ID": "agent",
            "MESOS_FRAMEWORK_ID": "framework",
            "MESOS_EXECUTOR_ID": "executor",
            "MESOS_DIRECTORY": folder,
            "MESOS_SANDBOX": folder,
        }
        started = time.perf_counter()
        executor = subprocess.Popen(
            [DIST / "aurorad/aurorad", "-role=executor"],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            agent.settimeout(20)
            agent.accept()[0].close()
            return time.perf_counter() - started
        finally:
            os.killpg(executor.pid, signal.SIGKILL)
            executor.wait()


def _idle_bytes() -> int:
    """Of the process alone, some time after its start."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["-role=scheduler", f"-work_dir={folder}/work", "-http_port=0"]
        with subprocess.Popen(
            [DIST / "aurorad/aurorad", *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as one:
            assert one.stdout is not None
            while b"ready" not in (line := one.stdout.readline()):
                assert line, "it ended"
            time.sleep(SETTLED_S)
            held: int = psutil.Process(one.pid).memory_info().rss
            one.terminate()
        return held


if __name__ == "__main__":
    for figure in figures():
        print("{:62} {:>16}  {}".format(*figure))
