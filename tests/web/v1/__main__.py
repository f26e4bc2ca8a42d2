"""``python -m tests.web.v1 [EXAMPLES [SEED]]``: schemathesis asks a real daemon, so many times for each route."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.contract.daemon import running
from tests.contract.scenario import Setup

FOLDER = Path(__file__).parent
KEY = {"role": "www-data", "environment": "devel", "name": "hello"}
JOB = {
    "key": KEY,
    "owner": {"user": "www-data"},
    "instanceCount": 3,
    "taskConfig": {
        "job": KEY,
        "isService": True,
        "resources": [{"numCpus": 0.1}, {"ramMb": 16}, {"diskMb": 16}],
        "executorConfig": {"name": "AuroraExecutor", "data": "{}"},
    },
}
AGENTS = tuple(f"agent-{n} host-{n} 16 65536 500000 31000-32000 rack=r{n}" for n in range(3))


def judge(folder: Path, *options: str, known: bool = False) -> subprocess.CompletedProcess[str]:
    """What schemathesis finds, all of it in the output; status 0 if that is nothing.

    With `known` it asks about a job that there is. A recovery is never committed: the daemon would end, as it should.
    """
    setup = Setup(AGENTS, (f"-backup_dir={folder / 'backups'}",), False)
    with running(setup, folder) as daemon:
        if known:
            made = daemon.ask("POST", "/v1/jobs", json.dumps(JOB).encode(), {"Content-Type": "application/json"})
            assert made.status == 201, made.body
        command = [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
            *(
                "--config-file",
                str(FOLDER / ("known.toml" if known else "schemathesis.toml")),
                "run",
                f"http://{daemon.scheduler}/v1/openapi.json",
            ),
            *("--exclude-path", "/v1/recovery/commit", "--no-shrink", "--no-color", *options),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if "Traceback" in daemon.log():
            done.returncode = done.returncode or 1
            done.stdout += daemon.log()
    return done


if __name__ == "__main__":
    examples = sys.argv[1] if len(sys.argv) > 1 else "100"
    seed = sys.argv[2] if len(sys.argv) > 2 else str(random.randrange(1 << 31))
    with tempfile.TemporaryDirectory() as place:
        for known in (False, True):
            (folder := Path(place) / str(known)).mkdir()
            outcome = judge(folder, "-n", examples, "--seed", seed, known=known)
            print(outcome.stdout + outcome.stderr, end="")
            if outcome.returncode:
                sys.exit(outcome.returncode)
