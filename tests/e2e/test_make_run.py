"""`make run`, the first thing that most people see of the project."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.cluster import EXAMPLES, REPOSITORY, cluster


@contextmanager
def make_run(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """As `make run` does it, with any free ports and its state in a folder of its own."""
    command: list[str | Path] = [
        sys.executable,
        EXAMPLES / "run.py",
        "--state",
        folder / "run",
        "--http-port",
        "0",
        *options,
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as running:
        yield running
        running.terminate()


def read_until(running: subprocess.Popen[str], end: str) -> str:
    assert running.stdout is not None
    output = ""
    while end not in output:
        line = running.stdout.readline()
        assert line, output
        output += line
    return output


def left_behind(folder: Path) -> list[str]:
    """Command lines of processes that work below the folder, or with it."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                command = (process / "cmdline").read_text().replace("\0", " ")
                if str(folder) in command or (process / "cwd").readlink().is_relative_to(folder):
                    found.append(command)
            except OSError:  # it is gone, or the kernel's
                continue
    return found


def test_once_it_runs_the_job_and_ends(folder: Path) -> None:
    with make_run(folder, "--once") as running:
        output = running.communicate(timeout=120)[0]
    assert running.returncode == 0, output
    for words in ("  PENDING", "  RUNNING", "this job:    http://localhost:", "Job killall succeeded"):
        assert words in output
    assert left_behind(folder) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_stops_everything_and_the_next_run_goes_on(folder: Path, how: signal.Signals) -> None:
    with make_run(folder) as running:
        read_until(running, "Ctrl-C stops all of it.")
        running.send_signal(how)
        rest = running.communicate(timeout=60)[0]
    assert (running.returncode, rest) == (0, "\nstopping ...\nEverything is stopped.\n")
    assert left_behind(folder) == []
    with make_run(folder) as running:
        output = read_until(running, "Ctrl-C stops all of it.")
        assert "The job is there from the last time." in output
        assert "THROTTLED" not in output


def test_on_a_taken_port_it_says_so_and_leaves_the_other_alone(folder: Path) -> None:
    (folder / "other").mkdir(mode=0o755)
    with cluster(folder / "other") as other:
        key = "devcluster/www-data/devel/hello_world"
        created = other.aurora("job", "create", "--wait-until", "RUNNING", key, str(EXAMPLES / "hello_world.aurora"))
        assert created.returncode == 0, created.stdout
        port = other.scheduler.rpartition(":")[2]
        with make_run(folder, "--http-port", port, "--once") as running:
            output = running.communicate(timeout=60)[0]
        assert running.returncode == 1
        assert f"aurorad: cannot listen on 127.0.0.1:{port}: Address already in use; " in output
        assert output.endswith("`make run HTTP_PORT=9081` takes another port\n")
        assert "status: RUNNING" in other.aurora("job", "status", key).stdout
