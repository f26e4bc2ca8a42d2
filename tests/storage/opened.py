"""The storage of a scheduler that is alone, without the scheduler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aurorad.storage.following import Settings, following, local_log
from aurorad.storage.storage import MAX_ENTRY_BYTES, Storage
from aurorad.vars import Vars


@asynccontextmanager
async def open_storage(
    folder: Path,
    *,
    stats: Vars,
    now_ms: Callable[[], int],
    max_entry_bytes: int = MAX_ENTRY_BYTES,
    snapshot_interval_s: float = 3600.0,
) -> AsyncIterator[Storage]:
    """The storage of a cluster of one, kept in `folder`: ``log/`` and ``state.db``. It serves until the block ends.

    Raises `LogInUse`, and as `following` and `Following.leading` do.
    """
    settings = Settings(now_ms, max_entry_bytes, snapshot_interval_s)
    async with (
        local_log(folder, stats) as log,
        following(log, folder / "state.db", settings, stats, alone=True) as state,
    ):
        await log.lead()
        async with state.leading() as storage:
            yield storage
