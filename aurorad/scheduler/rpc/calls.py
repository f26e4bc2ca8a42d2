"""Every call that is answered, put together over one scheduler."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from aurorad.flags import Flags
from aurorad.rules.tiers import Tiers
from aurorad.scheduler.limits import admission_limits
from aurorad.scheduler.rpc import admin, backups, cron, jobs, maintenance, reads, updates
from aurorad.scheduler.rpc.dispatch import Api
from aurorad.scheduler.service import Scheduler
from aurorad.scheduler.updater import Updater
from aurorad.storage.backups import Backups
from aurorad.storage.storage import Storage
from aurorad.vars import Vars


def api_of(
    *,
    storage: Storage,
    scheduler: Scheduler,
    updater: Updater,
    flags: Flags,
    tiers: Tiers,
    stats: Vars,
    new_uuid: Callable[[], UUID],
    saved: Backups | None = None,
) -> Api:
    """Answers whatever call there is; one that nobody handles, such as those about backups without `saved`, is refused
    by its name."""
    limits = admission_limits(flags, scheduler.executors)
    handlers = {
        **reads.handlers(
            storage=storage,
            limits=limits,
            tiers=tiers,
            reason=scheduler.pending_reason,
            next_run_ms=scheduler.cron.next_run_ms,
        ),
        **jobs.handlers(storage=storage, state=scheduler.states, limits=limits, tiers=tiers, stats=stats),
        **cron.handlers(storage=storage, cron=scheduler.cron, limits=limits, tiers=tiers, stats=stats),
        **admin.handlers(
            storage=storage,
            state=scheduler.states,
            reconciliation=scheduler.reconciliation,
            snapshot=storage.snapshot,
            stats=stats,
        ),
        **updates.handlers(
            storage=storage,
            updater=updater,
            limits=limits,
            tiers=tiers,
            flags=flags,
            stats=stats,
            new_uuid=new_uuid,
        ),
        **maintenance.handlers(maintenance=scheduler.maintenance, stats=stats),
        **(backups.handlers(storage=storage, backups=saved) if saved is not None else {}),
    }
    return Api(handlers, storage, flags, stats)
