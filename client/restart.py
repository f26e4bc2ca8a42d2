"""A rolling restart, driven from here (client-internals sheet, section 9)."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from aurorad.api.calls import RestartShards
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import JobKey, TaskQuery
from client import tasks
from client.arguments import JobPath
from client.scheduler import Scheduler


@dataclasses.dataclass(frozen=True)
class Settings:
    """`batch_size` instances at a time; times in seconds; failures as numbers that are put up with."""

    batch_size: int
    watch_secs: int
    poll_secs: int
    max_per_instance_failures: int
    max_total_failures: int


class Restart:
    """One restart of some instances of one job."""

    def __init__(self, scheduler: Scheduler, path: JobPath, settings: Settings) -> None:
        self._scheduler = scheduler
        self._path = path
        self._settings = settings
        self._failures: Counter[int] = Counter()

    def run(self, instances: Sequence[int]) -> bool:
        """Whether all came up and stayed up. Raises `CommandError` when the scheduler refuses."""
        log = self._scheduler.terminal
        log.info(f"Performing rolling restart of job {self._path} (instances: {list(instances)})")
        left = list(instances)
        while left:
            batch, left = left[: self._settings.batch_size], left[self._settings.batch_size :]
            log.info(f"Restarting instances: {batch}")
            call = RestartShards(self._path.key, frozenset(batch))
            self._scheduler.ask(call, f"Error restarting job {self._path}:")
            failed = self._watch(batch)
            self._failures.update(failed)
            left += failed
            if self._too_many_failures():
                log.info("Restart failures threshold reached. Aborting")
                return False
        log.info("All instances were restarted successfully")
        return True

    def _too_many_failures(self) -> bool:
        log, settings = self._scheduler.terminal, self._settings
        bad = {i: count for i, count in self._failures.items() if count > settings.max_per_instance_failures}
        if len(bad) <= settings.max_total_failures:
            return False
        log.info(f"{len(bad)} failed instances observed, maximum allowed is {settings.max_total_failures}")
        for instance, count in sorted(bad.items()):
            allowed = settings.max_per_instance_failures
            log.info(f"{count} instance failures for instance {instance}, maximum allowed is {allowed}")
        return True

    def _watch(self, batch: Sequence[int]) -> list[int]:
        """The instances that came up and were replaced before they had been up long enough."""
        log, clock = self._scheduler.terminal, self._scheduler.clock
        log.info(f"Watching instances: {list(batch)}")
        born: dict[int, tuple[str, float]] = {}
        waiting, failed = set(batch), []
        while True:
            for instance, task_id in sorted(self._running(self._path.key, waiting).items()):
                if instance not in born:
                    log.info(f"Detected RUNNING instance {instance}")
                    born[instance] = (task_id, clock.now())
                elif born[instance][0] != task_id:
                    log.info(f"Instance {instance} is unhealthy")
                    waiting.discard(instance)
                    failed.append(instance)
                elif clock.now() > born[instance][1] + self._settings.watch_secs:
                    up = self._settings.watch_secs
                    log.info(f"Instance {instance} has been up and healthy for at least {up} seconds")
                    waiting.discard(instance)
            if not waiting:
                return failed
            clock.sleep(self._settings.poll_secs)

    def _running(self, key: JobKey, instances: set[int]) -> dict[int, str]:
        """The ids of the running tasks by instance."""
        query = TaskQuery(
            job_keys=frozenset({key}),
            instance_ids=frozenset(instances),
            statuses=frozenset({ScheduleStatus.RUNNING}),
        )
        there = [task.assigned_task for task in tasks.ask(self._scheduler, query)]
        return {task.instance_id: task.task_id for task in there}
