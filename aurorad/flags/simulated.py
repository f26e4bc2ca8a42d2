"""Hosts that are only pretended."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from aurorad.flag_parsing import Data, Duration, declare, non_negative, positive
from aurorad.flags import checks as check

_SIMULATED = "Simulated cluster"


@dataclasses.dataclass(frozen=True)
class SimulatedFlags:
    simulated_hosts: int = declare(100, _SIMULATED, "How many hosts to pretend", positive)
    simulated_cpus: float = declare(16.0, _SIMULATED, "CPUs of each", positive)
    simulated_ram: Data = declare(64 << 30, _SIMULATED, "Memory of each", positive)
    simulated_disk: Data = declare(500 << 30, _SIMULATED, "Disk of each", positive)
    simulated_ports: str = declare("31000-32000", _SIMULATED, "Ports of each", check.port_range)
    simulated_racks: int = declare(10, _SIMULATED, "Racks that they are spread over (attribute rack)", positive)
    simulated_agents: Path | None = declare(
        None, _SIMULATED, "File of agents in place of all these, each line: id host cpus ram disk ports name=value,..."
    )
    simulated_finish: float = declare(
        0.0, _SIMULATED, "Part of the tasks that finish; what is left runs on", check.share
    )
    simulated_fail: float = declare(0.0, _SIMULATED, "Part of the tasks that fail", check.share)
    simulated_lose: float = declare(0.0, _SIMULATED, "Part of the tasks that get lost", check.share)
    simulated_run_time: Duration = declare(600.0, _SIMULATED, "How long those run, half more or less", positive)
    simulated_flap: float = declare(
        0.0, _SIMULATED, "Part of the instances whose every run fails after 2 s", check.share
    )
    simulated_start_delay: Duration = declare(
        0.15, _SIMULATED, "From launch to STARTING, and from there to RUNNING", non_negative
    )
    simulated_kill_delay: Duration = declare(0.15, _SIMULATED, "From kill to KILLED", non_negative)
    simulated_seed: int = declare(1, _SIMULATED, "What fates of tasks are drawn from: the same seed, the same fates")
    simulated_control_port: int | None = declare(
        None,
        _SIMULATED,
        "Port on this machine where tasks and agents are told what happens to them; 0 = any free one",
        check.port,
    )
