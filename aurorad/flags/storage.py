"""A leader's time, log, snapshots and backups."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from aurorad.flag_parsing import Data, Duration, declare, positive

_LOG = "Storage and log"


@dataclasses.dataclass(frozen=True)
class StorageFlags:
    max_registration_delay: Duration = declare(
        60.0, _LOG, "A leader that the engine does not know after so long ends, to be started again", positive
    )
    max_leading_duration: Duration = declare(
        86400.0, _LOG, "After so long a leader ends for another one to lead, unless it is alone", positive
    )
    dlog_max_entry_size: Data = declare(512 << 10, _LOG, "Largest entry written in one piece", positive)
    dlog_snapshot_interval: Duration = declare(3600.0, _LOG, "Snapshot of the state into the log every", positive)
    backup_dir: Path | None = declare(None, _LOG, "Folder of backups; unset = backups/ in -work_dir")
    backup_interval: Duration = declare(3600.0, _LOG, "Least time between backups, made when snapshots are", positive)
    max_saved_backups: int = declare(48, _LOG, "Backups kept; older ones are removed", positive)
