"""What is set aside for executors, and told to them."""

from __future__ import annotations

import dataclasses

from aurorad.flag_parsing import Data, declare, non_negative

_EXECUTOR = "Executor"


@dataclasses.dataclass(frozen=True)
class ExecutorFlags:
    thermos_executor_cpu: float = declare(0.25, _EXECUTOR, "CPU set aside for each executor", non_negative)
    thermos_executor_ram: Data = declare(128 << 20, _EXECUTOR, "Memory set aside for each executor", non_negative)
    thermos_executor_flags: str = declare("", _EXECUTOR, "Flags of each executor, as a shell would split them")
