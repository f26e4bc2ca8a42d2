"""The rig's agents as worker machines: an executor to fetch, and an observer on each."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.cluster import REPOSITORY
from tests.mesos.rig import Agent, Rig, install, rig

_EXECUTOR = """#!/bin/sh
export PYTHONPATH={sources}
exec {python} -m aurorad.main -role=executor "$@"
"""
_QUICK = ("-task_process_collection_interval_secs=1", "-task_disk_collection_interval_secs=1")


class MesosWorkers:
    """As `tests.e2e.cluster.Workers` says. `rig` may be hurt in any way, so long as it is whole again afterwards."""

    def __init__(self, rig: Rig, observer_port: int, observers: tuple[str, ...] = ()) -> None:
        self.rig = rig
        self.observers = observers
        executor = rig.folder / "thermos_executor"
        executor.write_text(_EXECUTOR.format(sources=shlex.quote(str(REPOSITORY)), python=shlex.quote(sys.executable)))
        executor.chmod(0o755)
        self.flags: tuple[str, ...] = (
            "-engine=mesos",
            "-role=scheduler",
            f"-mesos_master_address={rig.master}",
            f"-thermos_executor_path={executor}",
            f"-observer_port={observer_port}",
        )

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(agent.work_dir for agent in self.rig.agents)

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(agent.hostname for agent in self.rig.agents)

    def clean_up(self) -> None:
        self.rig.tear_down_frameworks()


@contextmanager
def mesos_workers(*options: str, observed: bool = True) -> Iterator[MesosWorkers]:
    """Two agents, and `options` of ``mesos-rig start`` besides."""
    install(*(["--zookeeper"] if {"--masters=3", "--masters=2"} & {*options} else []))
    with rig("--agents=2", *options) as it, ExitStack() as observers:
        port = _free_port()
        addresses = [observers.enter_context(observer(agent, port)) for agent in it.agents] if observed else []
        yield MesosWorkers(it, port, tuple(addresses))


@contextmanager
def observer(agent: Agent, port: int) -> Iterator[str]:
    """Its address. It observes one agent, as a worker machine has it."""
    where = (f"-mesos_root={agent.work_dir}", f"-ip={agent.hostname}", f"-observer_port={port}")
    with subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "aurorad.main", "-role=observer", *where, *_QUICK],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        try:
            assert process.stdout is not None
            (address,) = re.findall(r"observer: (http://[^/\s]+)", process.stdout.readline())
            yield address
        finally:
            process.terminate()


def _free_port() -> int:
    """On every address of this machine: all agents' observers have the same one."""
    with socket.create_server(("", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
