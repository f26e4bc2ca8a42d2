"""What happened, told once it is in the log: services react to these and so can never run ahead of the truth."""

from __future__ import annotations

import msgspec

from aurorad.api.tasks import HostAttributes, JobConfiguration, ScheduledTask
from aurorad.api.updates import JobUpdateDetails


class TaskChanged(msgspec.Struct, frozen=True, gc=False):
    """A task was created (`before` is None), changed, or removed (`after` is None)."""

    before: ScheduledTask | None
    after: ScheduledTask | None


class KillRequested(msgspec.Struct, frozen=True, gc=False):
    """The engine is to end this task."""

    task_id: str


class HostChanged(msgspec.Struct, frozen=True):
    """A host is new (`before` is None), or its attributes or its maintenance mode changed."""

    before: HostAttributes | None
    after: HostAttributes


class CronJobChanged(msgspec.Struct, frozen=True):
    """A cron job was scheduled (`before` is None), replaced, or descheduled (`after` is None)."""

    before: JobConfiguration | None
    after: JobConfiguration | None


class UpdateChanged(msgspec.Struct, frozen=True, gc=False):
    """A job update began (`before` is None), got more events, or was removed (`after` is None)."""

    before: JobUpdateDetails | None
    after: JobUpdateDetails | None


StorageEvent = TaskChanged | KillRequested | HostChanged | CronJobChanged | UpdateChanged
