"""A rolling restart, driven from here (client-internals sheet, section 9)."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

from aurorad.api.calls import RestartShards
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.results import Response
from aurorad.api.tasks import JobKey, TaskQuery
from client import tasks
from client.arguments import JobPath
from client.display import Display
from client.scheduler import Scheduler, messages

NOTHING_DONE = Response(ResponseCode.OK)


@dataclasses.dataclass(frozen=True)
class Settings:
    """`batch_size` instances at a time; times in seconds; failures as numbers that are put up with.

    Hooks read these names.
    """

    batch_size: int
    watch_secs: int
    health_check_interval_seconds: int
    max_per_instance_failures: int
    max_total_failures: int
    restart_threshold: int | None = None
    """Seconds in which an instance must be RUNNING, or else it has failed."""


class Restart:
    """One restart of some instances of one job."""

    def __init__(self, scheduler: Scheduler, path: JobPath, settings: Settings) -> None:
        self._scheduler = scheduler
        self._path = path
        self._settings = settings
        self._failures: Counter[int] = Counter()
        self._healthy = 0
        self.completed = False
        """All instances came up and stayed up."""

    def run(self, instances: Sequence[int]) -> Response:
        """The answer to the last call: not OK if the scheduler refused it. `completed` tells whether all came up.

        Raises `CommandError`.
        """
        log = self._scheduler.terminal
        log.info(f"Performing rolling restart of job {self._path} (instances: {list(instances)})")
        response, left = NOTHING_DONE, list(instances)
        with log.display() as display:
            while left:
                batch, left = left[: self._settings.batch_size], left[self._settings.batch_size :]
                log.info(f"Restarting instances: {batch}")
                response = self._scheduler.call(RestartShards(self._path.key, frozenset(batch)))
                if response.response_code is not ResponseCode.OK:
                    log.info(f"Error restarting instances: {messages(response)}")
                    return response
                failed = self._watch(batch, display, len(instances))
                self._failures.update(failed)
                left += failed
                if self._too_many_failures():
                    log.info("Restart failures threshold reached. Aborting")
                    return response
        log.info("All instances were restarted successfully")
        self.completed = True
        return response

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

    def _watch(self, batch: Sequence[int], display: Display, total: int) -> list[int]:
        """The instances that did not come up in time, or were replaced before they had been up long enough."""
        log, clock = self._scheduler.terminal, self._scheduler.clock
        log.info(f"Watching instances: {list(batch)}")
        born: dict[int, tuple[str, float]] = {}
        waiting, failed = set(batch), []
        threshold = self._settings.restart_threshold
        deadline = math.inf if threshold is None else clock.now() + threshold
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
                    self._healthy += 1
            if clock.now() > deadline:
                for instance in sorted(waiting.difference(born)):
                    log.info(f"Instance {instance} was not RUNNING within {threshold} seconds")
                    waiting.discard(instance)
                    failed.append(instance)
            display.show(f"Restarting {self._path}", self._healthy, total)
            if not waiting:
                return failed
            clock.sleep(self._settings.health_check_interval_seconds)

    def _running(self, key: JobKey, instances: set[int]) -> dict[int, str]:
        """The ids of the running tasks by instance."""
        query = TaskQuery(
            job_keys=frozenset({key}),
            instance_ids=frozenset(instances),
            statuses=frozenset({ScheduleStatus.RUNNING}),
        )
        there = [task.assigned_task for task in tasks.ask(self._scheduler, query)]
        return {task.instance_id: task.task_id for task in there}
