"""`make run`: a cluster on this machine and a first job on it, with the real daemon and the real client."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
COMMANDS = Path(sys.executable).parent
STATE = REPOSITORY / ".run"
KEY = "devcluster/www-data/devel/hello_world"
JOB = HERE / "hello_world.aurora"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--once", action="store_true", help="end by itself once the task ran and was killed again")
    options.add_argument("--http-port", type=int, default=8081)
    options.add_argument("--observer-port", type=int, default=1338)
    arguments = options.parse_args()
    missing = [name for name in ("aurorad", "aurora") if not (COMMANDS / name).exists()]
    if missing:
        return complain(f"{', '.join(missing)} not found in {COMMANDS}: run `make setup` first")
    STATE.mkdir(mode=0o700, exist_ok=True)
    address = f"http://localhost:{arguments.http_port}"
    (STATE / "clusters.json").write_text(json.dumps([{"name": "devcluster", "scheduler_uri": address}]))
    daemon = subprocess.Popen(
        [
            COMMANDS / "aurorad",
            f"-work_dir={STATE}/work",
            f"-http_port={arguments.http_port}",
            f"-observer_port={arguments.observer_port}",
            "-stop_tasks_on_exit",
        ],
        stdout=(STATE / "aurorad.out").open("w"),
        stderr=None,
        start_new_session=True,  # Ctrl-C is for us to handle, in order
    )
    try:
        return story(daemon, address, arguments.once)
    except KeyboardInterrupt:
        print("\nstopping ...")
        return 0
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()


def story(daemon: subprocess.Popen[bytes], address: str, once: bool) -> int:
    print(f"starting aurorad, its state is kept in {STATE}")
    if not healthy(daemon, address):
        return 1
    print(f"$ aurora job create {KEY} examples/hello_world.aurora")
    if aurora("job", "create", KEY, str(JOB)) not in (0, 4):  # 4: it is there from the last time
        return 1
    if not running():
        return complain(f"the task is not RUNNING after 60 s; look at {address}/scheduler/www-data/devel/hello_world")
    print(f"\n$ aurora job status {KEY}")
    aurora("job", "status", KEY)
    print(f"\nthe cluster: {address}/scheduler\nthis job:    {address}/scheduler/www-data/devel/hello_world")
    if once:
        print(f"\n$ aurora job killall {KEY}")
        return aurora("job", "killall", KEY)
    print("\nCtrl-C stops all of it.")
    daemon.wait()
    return complain("aurorad ended by itself")


def complain(sentence: str) -> int:
    print(f"make run: {sentence}", file=sys.stderr)
    return 1


def healthy(daemon: subprocess.Popen[bytes], address: str) -> bool:
    """Wait for /health; False when the daemon ended instead (it has said why)."""
    while daemon.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                if answer.status == 200:
                    return True
        except OSError:
            time.sleep(0.1)
    return False


def environment() -> dict[str, str]:
    return {**os.environ, "AURORA_CONFIG_ROOT": str(STATE)}


def aurora(*arguments: str) -> int:
    return subprocess.run([COMMANDS / "aurora", *arguments], env=environment(), check=False).returncode


def running(within_s: float = 60.0) -> bool:
    """Show the task's states as they come; whether it came to RUNNING."""
    shown = ""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        status = subprocess.run(
            [COMMANDS / "aurora", "job", "status", "--write-json", KEY],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        state = active_status(status.stdout)
        if state and state != shown:
            print(f"task is {state}")
            shown = state
        if state == "RUNNING":
            return True
        time.sleep(0.2)
    return False


def active_status(output: bytes) -> str:
    """The status of the active task in the JSON of `job status`, or nothing."""
    jobs = json.loads(output or b"[]")
    return next((task["status"] for job in jobs for task in job.get("active", ())), "")


if __name__ == "__main__":
    sys.exit(main())
