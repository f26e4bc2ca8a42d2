"""What this process is, where it listens and keeps things, and what it logs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Literal

from aurorad.flag_parsing import Data, Declaration, Duration, declare, non_negative, positive
from aurorad.flags import checks as check

_CLUSTER = "Cluster and engine"
_HTTP = "Identity, HTTP, API"
_OUTPUT = "Own log"


def default_work_dir() -> Path:
    if os.geteuid() == 0:  # tasks run as other users, who could not pass through root's home
        return Path("/var/lib/aurorad")
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "aurorad"


@dataclasses.dataclass(frozen=True)
class ClusterFlags:
    role: tuple[str, ...] = declare(
        ("scheduler", "observer"),
        _CLUSTER,
        "What this process is: scheduler, observer or both (executor, launcher: for engines)",
        check.roles,
    )
    engine: Literal["local", "simulated", "mesos"] = declare(
        "local",
        _CLUSTER,
        "Where tasks run: this machine, hosts that are only pretended, or a Mesos cluster (-mesos_master_address)",
    )
    work_dir: Path = dataclasses.field(
        default_factory=default_work_dir,
        metadata={"flag": Declaration("Folder that holds everything this daemon keeps", _CLUSTER, None)},
    )
    cluster_name: str = declare("devcluster", _CLUSTER, "Cluster name shown in answers and pages")
    gc_delay: Duration = declare(172800.0, _CLUSTER, "Sandboxes of ended tasks are kept this long", non_negative)
    gc_disk_headroom: float = declare(
        0.1,
        _CLUSTER,
        "Part of the disk to keep free, by removing sandboxes of ended tasks before their time",
        check.part,
    )
    gc_max_size: Data | None = declare(
        None, _CLUSTER, "Most that sandboxes of ended tasks may take; unset = no limit", non_negative
    )
    stop_tasks_on_exit: bool = declare(False, _CLUSTER, "Kill the local engine's tasks when the daemon stops")

    http_port: int = declare(8081, _HTTP, "Scheduler's HTTP port; 0 = any free one", check.port)
    ip: str | None = declare(
        None, _HTTP, "Address to listen on (0.0.0.0 = all); unset = that of -hostname, or loopback"
    )
    hostname: str | None = declare(None, _HTTP, "Host name advertised to others")
    viz_job_url_prefix: str = declare("", _HTTP, "Statistics URL prefix handed to clients")
    shutdown_grace: Duration = declare(5.0, _HTTP, "How long open requests may go on while stopping", non_negative)

    log_to_stderr: str = declare("INFO", _OUTPUT, "Least level of what is logged", check.level)
    log_to_disk: str = declare("NONE", _OUTPUT, "NONE: the log goes to standard error alone", check.no_log)
    stat_sampling_interval: Duration = declare(1.0, _OUTPUT, "How often statistics are sampled for graphs", positive)
    stat_retention_period: Duration = declare(3600.0, _OUTPUT, "How long samples of statistics are kept", positive)
