"""What the observer looks at, where and how often."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from aurorad.flag_parsing import declare, positive
from aurorad.flags import checks as check

_OBSERVER = "Observer"


@dataclasses.dataclass(frozen=True)
class ObserverFlags:
    observer_port: int = declare(
        1338, _OBSERVER, "Observer's HTTP port, also called -port; 0 = any free one", check.port
    )
    mesos_root: Path | None = declare(
        None,
        _OBSERVER,
        "A Mesos agent's work_dir; unset = our own engine's, and /var/lib/mesos without a scheduler here",
    )
    root: tuple[str, ...] = declare((), _OBSERVER, "Checkpoint roots besides, as of the thermos command")
    polling_interval_secs: float = declare(5.0, _OBSERVER, "Look for tasks every so many seconds", positive)
    disable_task_resource_collection: bool = declare(False, _OBSERVER, "Measure nothing: CPU, RAM and disk read 0")
    task_process_collection_interval_secs: float = declare(20.0, _OBSERVER, "Measure CPU and RAM every", positive)
    task_disk_collection_interval_secs: float = declare(60.0, _OBSERVER, "Measure disk use every", positive)
    enable_mesos_disk_collector: bool = declare(False, _OBSERVER, "Ask the Mesos agent for disk use")
    agent_api_url: str = declare("http://localhost:5051/containers", _OBSERVER, "Where to ask it", check.http_url)
    executor_id_json_path: str = declare(
        "executor_id", _OBSERVER, "JMESPath of a container's executor id", check.jmespath
    )
    disk_usage_json_path: str = declare(
        "statistics.disk_used_bytes", _OBSERVER, "JMESPath of a container's disk use", check.jmespath
    )
