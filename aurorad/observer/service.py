"""The observer that the flags ask for (observer sheet, section 1)."""

from __future__ import annotations

from pathlib import Path

from aurorad.flags import Flags
from aurorad.observer.mesos_disk import MesosDiskCollector
from aurorad.observer.observer import Observer, measured_disks

MESOS_WORK_DIR = Path("/var/lib/mesos")  # of an agent, if nobody says otherwise


def observer_for(flags: Flags) -> Observer:
    """Beside a scheduler it looks where that one's engine keeps its runs; alone also where a Mesos agent does."""
    disks = measured_disks
    if flags.enable_mesos_disk_collector:
        disks = MesosDiskCollector(flags.agent_api_url, flags.executor_id_json_path, flags.disk_usage_json_path)
    return Observer(
        mesos_roots(flags),
        [Path(root) for root in flags.root],
        polling_interval_s=flags.polling_interval_secs,
        process_interval_s=flags.task_process_collection_interval_secs,
        disk_interval_s=flags.task_disk_collection_interval_secs,
        sample=not flags.disable_task_resource_collection,
        disks=disks,
    )


def has_what_to_observe(flags: Flags) -> bool:
    """Whether tasks of a scheduler here leave anything here.

    Pretended ones leave nothing, and those of Mesos are elsewhere unless somebody says where.
    """
    return flags.engine == "local" or (flags.engine == "mesos" and (flags.mesos_root is not None or bool(flags.root)))


def mesos_roots(flags: Flags) -> list[Path]:
    if flags.mesos_root is not None:
        return [flags.mesos_root]
    own = flags.work_dir / "agent"
    return [own] if "scheduler" in flags.role else [own, MESOS_WORK_DIR]
