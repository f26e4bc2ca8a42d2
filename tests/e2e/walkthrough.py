"""Runs what a document tells operators to type, as written, in a world of its own.

Paths of a machine are below a folder there. `systemctl` starts and stops `aurora-scheduler`, the packages' own script,
with a file of flags; it is started again whenever it asks for that (exit status 75), as systemd would. `scp` copies to
the machine whose folder is beside it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"

_COMMAND = """#!/bin/sh
exec {python} -m {module} "$@"
"""

_SYSTEMCTL = """#!/bin/bash
# start|stop|restart aurora-scheduler
cd {root}
case $1 in
start)
    setsid bash -c 'while :; do
            aurora-scheduler >>daemon.log 2>&1 & echo $! >child; wait $!
            [ $? = 75 ] || break
        done' </dev/null >/dev/null 2>&1 &
    echo $! >supervisor
    for _ in $(seq 300); do
        curl -sf -o /dev/null http://localhost:{port}/{ready} && exit 0
        sleep 0.1
    done
    cat daemon.log >&2; exit 1 ;;
stop)
    kill $(cat child)
    while kill -0 $(cat supervisor) 2>/dev/null; do sleep 0.05; done ;;
restart)
    "$0" stop && "$0" start ;;
esac
"""

_SUDO = """#!/bin/sh
# sudo -u USER COMMAND: all users are one here
shift 2
exec "$@"
"""

_SCP = """#!/bin/bash
# scp -r FROM HOST:TO
to=${{3#*:}}
exec cp -r "$2" "{machines}/${{3%%:*}}${{to#{root}}}"
"""


def commands(document: str, section: str) -> list[str]:
    """The blocks of commands of a section, each as a script."""
    text = (DOCS / document).read_text()
    found = re.search(rf"(?ms)^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text)
    assert found, f"{document} has no section {section!r}"
    blocks = re.findall(r"(?m)(?:^ {4}.*\n)+", found[1])
    return [re.sub(r"(?m)^ {4}", "", block) for block in blocks]


class World:
    """`run` does what an operator types."""

    def __init__(self, root: Path, port: int, environ: Mapping[str, str]) -> None:
        self.root = root
        self.port = port
        self._environ = dict(environ)

    def path(self, of: str) -> Path:
        """Where a path of the documents is here."""
        return self.root / of.lstrip("/")

    def run(self, script: str, *, pipefail: bool = True) -> str:
        """Its output. The first command that fails ends it, and the test; with `pipefail` also one before a pipe."""
        here = script.replace("localhost:8081", f"localhost:{self.port}")
        for path in ("/var/lib/", "/usr/share/doc/"):
            here = here.replace(path, f"{self.root}{path}")
        done = subprocess.run(
            ["bash", "-e", *(("-o", "pipefail") if pipefail else ()), "-c", here],
            cwd=self.root,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{here}\nends with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def log(self) -> str:
        return (self.root / "daemon.log").read_text()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def world(root: Path, *flags: str, ready: str = "leaderhealth") -> Iterator[World]:
    """With a daemon of simulated hosts behind `systemctl`, which does not run yet.

    It counts as started once it answers at the path `ready`.
    """
    port = free_port()
    bin_, etc = root / "bin", root / "etc"
    for folder in (bin_, etc, root / "var/lib/aurora/scheduler"):
        folder.mkdir(parents=True)
    flags_file = etc / "aurora-scheduler"
    examples = root / "usr/share/doc/aurora-scheduler/examples"
    examples.parent.mkdir(parents=True)
    examples.symlink_to(REPOSITORY / "packaging")
    modules = {"aurorad": "aurorad.main", "aurora": "client.main", "aurora_admin": "client.admin"}
    for name, module in modules.items():
        _program(bin_ / name, _COMMAND.format(python=sys.executable, module=module))
    state = root / "var/lib/aurora"
    all_flags = [f"-work_dir={state}/scheduler", f"-backup_dir={state}/backups", f"-http_port={port}"]
    all_flags += ["-engine=simulated", "-simulated_hosts=3", *flags]
    flags_file.write_text("".join(f"{flag}\n" for flag in all_flags))
    (bin_ / "aurora-scheduler").symlink_to(REPOSITORY / "packaging/bin/aurora-scheduler")
    _program(bin_ / "systemctl", _SYSTEMCTL.format(root=root, port=port, ready=ready))
    _program(bin_ / "sudo", _SUDO)
    _program(bin_ / "scp", _SCP.format(root=root, machines=root.parent))
    clusters = [{"name": "devcluster", "scheduler_uri": f"http://localhost:{port}"}]
    (etc / "clusters.json").write_text(json.dumps(clusters))
    environ = {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "HOME": str(root),
        "AURORA_CONFIG_ROOT": str(etc),
        "AURORA_FLAGS_FILE": str(flags_file),
        "AURORAD": str(bin_ / "aurorad"),
        "PYTHONPATH": str(REPOSITORY),
    }
    it = World(root, port, environ)
    try:
        yield it
    finally:
        if (root / "child").exists():
            subprocess.run(
                [bin_ / "systemctl", "stop", "aurora-scheduler"], env=environ, check=False, capture_output=True
            )


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
