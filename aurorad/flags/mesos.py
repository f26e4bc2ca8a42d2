"""A Mesos cluster as the engine (flags sheet, section 4)."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Literal

from aurorad.flag_parsing import Declaration, Duration, declare, non_negative
from aurorad.flags import checks as check

_MESOS = "Mesos"


class _Address(Declaration):
    """Shows where the masters are, but for the password of their ZooKeeper."""

    def shown(self, text: str) -> str:
        return re.sub(r"//.*@", "//***@", text)


@dataclasses.dataclass(frozen=True)
class MesosFlags:
    mesos_master_address: str | None = dataclasses.field(
        default=None,
        repr=False,
        metadata={
            "flag": _Address(
                "The masters: host:port, with commas between several, or zk://[user:password@]host:port,.../path; or "
                "@file with that",
                _MESOS,
                check.mesos_masters,
                secret=True,
            )
        },
    )
    mesos_driver: Literal["SCHEDULER_DRIVER", "V0_DRIVER", "V1_DRIVER"] = declare(
        "SCHEDULER_DRIVER", _MESOS, "Taken and of no effect: there is one, for the v1 scheduler API"
    )
    mesos_role: str | None = declare(
        None, _MESOS, "Role to register with; unset = no resources that are reserved for one", check.mesos_role
    )
    framework_name: str = declare("Aurora", _MESOS, "Name to register with")
    framework_failover_timeout: Duration = declare(
        21 * 86400.0, _MESOS, "The master ends all tasks of a scheduler that is away for so long", non_negative
    )
    forget_framework: str | None = declare(
        None, _MESOS, "If this is our framework id, get a new one; tasks that ran under it are started again"
    )
    framework_authentication_file: Path | None = declare(
        None, _MESOS, "File of aurora_authentication_principal=... and aurora_authentication_secret=..."
    )
    framework_announce_principal: bool = declare(False, _MESOS, "Register with that principal's name, too")
    executor_user: str = declare("root", _MESOS, "User that executors are run as")
    receive_revocable_resources: bool = declare(False, _MESOS, "Take offers of revocable resources")
    partition_aware: bool = declare(
        False, _MESOS, "Be told that tasks cannot be reached, instead of that they are lost"
    )
