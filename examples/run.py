"""`make run`: a cluster on this machine and a first job on it, with the real daemon and the real client."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
AURORAD = (sys.executable, "-m", "aurorad.main")
AURORA = (sys.executable, "-m", "client.main")
KEY = "devcluster/www-data/devel/hello_world"
JOB = HERE / "hello_world.aurora"
RUNNING_WITHIN_S = 60.0
STOPPED_WITHIN_S = 60.0


class Trouble(Exception):
    """The story cannot go on; one sentence says why."""


def main() -> int:
    options = argparse.ArgumentParser(prog="make run", description=__doc__)
    options.add_argument("--once", action="store_true", help="end by itself once the task ran and was killed again")
    options.add_argument("--http-port", type=int, default=8081)
    options.add_argument("--observer-port", type=int, help="1338; any free one beside another --http-port")
    options.add_argument("--state", type=Path, default=state_folder(), help="folder to keep its state and its log in")
    arguments = options.parse_args()
    if arguments.observer_port is None:
        arguments.observer_port = 1338 if arguments.http_port == 8081 else 0
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal must not leave a daemon behind
        signal.signal(number, _interrupt)
    try:
        with Cluster(arguments.state.absolute(), arguments.http_port, arguments.observer_port) as cluster:
            story(cluster, arguments.once)
    except KeyboardInterrupt:
        print("Everything is stopped.", flush=True)
    except Trouble as trouble:
        print(f"make run: {trouble}", file=sys.stderr)
        return 1
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def state_folder() -> Path:
    """Root's tasks run as other users: their sandboxes must lie where those can go."""
    here = REPOSITORY / ".run"
    reachable = os.geteuid() != 0 or all(folder.stat().st_mode & stat.S_IXOTH for folder in here.parents)
    return here if reachable else Path("/var/lib/aurorad-run")


def story(cluster: Cluster, once: bool) -> None:
    job_page = f"{cluster.address}/www-data/devel/hello_world"
    if cluster.task() is None:
        say(f"$ aurora job create {KEY} examples/hello_world.aurora")
        if cluster.aurora("job", "create", KEY, str(JOB)) != 0:
            raise Trouble("the job could not be created")
    else:
        say("The job is there from the last time.")
    if not watch(cluster):
        cluster.aurora("job", "status", KEY)
        cluster.aurora("job", "killall", KEY)  # the next run shall not have to wait for one that flaps
        raise Trouble(f"the task did not come to RUNNING within {RUNNING_WITHIN_S:g} s")
    say(f"\nthe cluster: {cluster.address}\nthis job:    {job_page}")
    if once:
        say(f"\n$ aurora job killall {KEY}")
        if cluster.aurora("job", "killall", KEY) != 0:
            raise Trouble("the job could not be killed")
    else:
        say("\nCtrl-C stops all of it.")
        cluster.wait()


def watch(cluster: Cluster) -> bool:
    """Show what happens to the task as it does; whether it came to RUNNING in time."""
    say("the task is")
    seen: set[tuple[int, str]] = set()
    deadline = time.monotonic() + RUNNING_WITHIN_S
    while time.monotonic() < deadline:
        task = cluster.task() or {"taskEvents": (), "status": ""}
        for event in task["taskEvents"]:
            if (event["timestamp"], event["status"]) not in seen:
                seen.add((event["timestamp"], event["status"]))
                say(f"  {event['status']}  {event.get('message', '')}".rstrip())
        if task["status"] == "RUNNING":
            return True
        time.sleep(0.5)
    return False


def say(text: str) -> None:
    print(text, flush=True)


class Cluster:
    """An `aurorad` of our own, from entry to exit, with its state in `state`."""

    def __init__(self, state: Path, http_port: int, observer_port: int) -> None:
        self._state = state
        self._log = state / "aurorad.log"
        self._command = [
            *AURORAD,
            f"-work_dir={state}/work",
            f"-http_port={http_port}",
            f"-observer_port={observer_port}",
            "-stop_tasks_on_exit",
        ]
        self.address = ""

    def __enter__(self) -> Cluster:
        say(f"starting aurorad; its state and its log are kept in {self._state}")
        try:
            self._state.mkdir(exist_ok=True)
            self._state.chmod(0o711)  # passable for tasks, readable for its owner alone
            log = self._log.open("w")
        except OSError as error:
            raise Trouble(f"{error.filename}: {error.strerror}; remove it, or run as its owner") from None
        with log:
            self._daemon = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for us to handle, in order
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            say("\nstopping ...")
        self._stop()

    def _wait_until_ready(self) -> None:
        """Its own word counts: on a port that is taken, somebody else would answer."""
        assert self._daemon.stdout is not None
        for line in self._daemon.stdout:
            if found := re.search(r"scheduler: ((http://\S+)/scheduler)", line):
                self.address, scheduler = found.groups()
                clusters = [{"name": "devcluster", "scheduler_uri": scheduler}]
                (self._state / "clusters.json").write_text(json.dumps(clusters))
            elif line.startswith("aurorad: ready"):
                return
        self._say_why_it_ended()

    def wait(self) -> None:
        """Raises `Trouble` should the daemon end."""
        self._daemon.wait()
        self._say_why_it_ended()

    def _say_why_it_ended(self) -> None:
        said = self._log.read_text()
        print(said, end="", file=sys.stderr)
        hint = "; `make run HTTP_PORT=9081` takes another port" if "cannot listen" in said else ""
        raise Trouble(f"aurorad ended by itself, and says why above{hint}")

    def _stop(self) -> None:
        """Its tasks end with it. Whoever is impatient meanwhile has to wait for that."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._daemon.terminate()
        try:
            self._daemon.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            raise Trouble(
                f"aurorad did not stop within {STOPPED_WITHIN_S:g} s and was killed; see {self._log}"
            ) from None

    def aurora(self, *arguments: str) -> int:
        return subprocess.run([*AURORA, *arguments], env=self._environment(), check=False).returncode

    def task(self) -> dict[str, Any] | None:
        """The active task as `job status` has it."""
        output = subprocess.run(
            [*AURORA, "job", "status", "--write-json", KEY],
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        ).stdout
        found = json.loads(output or b"[]")
        jobs = found if isinstance(found, list) else []  # an object says that there is no such job
        return next((task for job in jobs for task in job["active"]), None)

    def _environment(self) -> dict[str, str]:
        """One in which the client knows our cluster, and no other of that name."""
        return {**os.environ, "AURORA_CONFIG_ROOT": str(self._state), "HOME": str(self._state)}


if __name__ == "__main__":
    sys.exit(main())
