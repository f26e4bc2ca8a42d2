"""Which executors there are, what is set aside for them, and what they are told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from aurorad.flag_parsing import Data, declare, non_negative
from aurorad.flags import checks as check

_EXECUTOR = "Executor"


@dataclasses.dataclass(frozen=True)
class ExecutorFlags:
    thermos_executor_cpu: float = declare(0.25, _EXECUTOR, "CPU set aside for each executor", non_negative)
    thermos_executor_ram: Data = declare(128 << 20, _EXECUTOR, "Memory set aside for each executor", non_negative)
    thermos_executor_flags: str = declare("", _EXECUTOR, "Flags of each executor, as a shell would split them")
    thermos_executor_path: str | None = declare(
        None, _EXECUTOR, "With Mesos: URI of the program that agents fetch and start", check.uri_of_file
    )
    thermos_executor_resources: tuple[str, ...] = declare(
        (), _EXECUTOR, "With Mesos: URIs of what else it finds beside it", check.uris
    )
    thermos_home_in_sandbox: bool = declare(False, _EXECUTOR, "With Mesos: its HOME is the sandbox")
    global_container_mounts: tuple[str, ...] = declare(
        (), _EXECUTOR, "With Mesos: what of its host each container has, host:container:ro|rw", check.mounts
    )
    custom_executor_config: Path | None = declare(None, _EXECUTOR, "JSON file of other executors")
    populate_discovery_info: bool = declare(False, _EXECUTOR, "With Mesos: tell it how tasks are found")
