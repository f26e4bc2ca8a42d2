"""What must be true once all faults are over and time has passed: everything is where it should be, or says why not."""

from __future__ import annotations

from collections.abc import Iterator

from aurorad.api.enums import JobUpdateStatus, MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import ScheduledTask
from aurorad.api.updates import JobUpdateDetails
from aurorad.storage.tables import Table
from tests.simulation import legal
from tests.simulation.amounts import Amounts, requested
from tests.simulation.cluster import Cluster
from tests.simulation.hosts import Host
from tests.simulation.jobs import is_doomed
from tests.simulation.ledger import Ledger

_PAUSED = frozenset(
    {
        JobUpdateStatus.ROLL_FORWARD_PAUSED,
        JobUpdateStatus.ROLL_BACK_PAUSED,
        JobUpdateStatus.ROLL_FORWARD_AWAITING_PULSE,
        JobUpdateStatus.ROLL_BACK_AWAITING_PULSE,
    }
)


class Ending:
    def __init__(self, ledger: Ledger, cluster: Cluster, executor: tuple[float, int]) -> None:
        """`executor`: the CPUs and MB of memory that each executor takes."""
        self._ledger = ledger
        self._cluster = cluster
        self._executor = executor

    def open_ends(self) -> Iterator[tuple[str, str]]:
        """The rules that are not met yet, and by what."""
        yield from self._zombies()
        yield from self._untold()
        for task in self._ledger.tasks.values():
            yield from self._task(task)
        for host in self._ledger.rows[Table.HOSTS].values():
            if host.mode is MaintenanceMode.DRAINING:
                yield "every drain ends", host.host
        for job in self._ledger.runs_to_come:
            yield "a run that others made room for begins", job.name
        for details in self._ledger.updates.values():
            status = details.update_events[-1].status
            if status not in legal.ENDED_UPDATES and status not in _PAUSED and not self._waits(details):
                yield "every update ends", f"{details.update.summary.key.id} is {status.name}"

    def _zombies(self) -> Iterator[tuple[str, str]]:
        for host in self._cluster.hosts:
            for task in host.live():
                known = self._ledger.tasks.get(task.info.task_id)
                if known is None or known.status not in legal.ON_AGENT:
                    status = known.status.name if known is not None else "unknown"
                    yield "nothing runs that should not", f"{task.info.task_id} on {host.name}: {status}"

    def _untold(self) -> Iterator[tuple[str, str]]:
        for host in self._cluster.hosts:
            for task in host.tasks.values():
                if task.untold:
                    update = task.untold[0]
                    yield "every update is acknowledged", f"{update.task_id} {update.state.value}"

    def _task(self, task: ScheduledTask) -> Iterator[tuple[str, str]]:
        config, task_id = task.assigned_task.task, task.assigned_task.task_id
        if task.status not in legal.ACTIVE or is_doomed(config):
            return
        if task.status is ScheduleStatus.RUNNING:
            if not any(task_id in host.tasks and host.tasks[task_id].is_live for host in self._cluster.hosts):
                yield "what runs is there", f"{task_id} is RUNNING nowhere"
        elif task.status is not ScheduleStatus.PENDING or any(self._fits(task, host) for host in self._cluster.hosts):
            yield "a job gets its instances", f"{task_id} is {task.status.name}"

    def _fits(self, task: ScheduledTask, host: Host) -> bool:
        """Whether a pending task could be placed on a host as things are."""
        config = task.assigned_task.task
        known = self._ledger.rows[Table.HOSTS].get(host.name)
        if known is not None and known.mode in (MaintenanceMode.DRAINING, MaintenanceMode.DRAINED):
            return False
        free = Amounts.of_resources(host.resources).minus([Amounts.of(other.info) for other in host.live()])
        cpus, mem, disk, ports = requested(config.resources)
        if cpus + self._executor[0] > free.cpus or mem + self._executor[1] > free.mem or disk > free.disk:
            return False
        return ports <= len(free.ports) and self._allowed(task, host)

    def _allowed(self, task: ScheduledTask, host: Host) -> bool:
        values = {attribute.name: attribute.values for attribute in host.attributes}
        constraints = task.assigned_task.task.constraints
        if "dedicated" in values and all(constraint.name != "dedicated" for constraint in constraints):
            return False
        for constraint in constraints:
            wanted, here = constraint.constraint, values.get(constraint.name, frozenset())
            if wanted is None:
                continue
            if wanted.value is not None and bool(here & wanted.value.values) == wanted.value.negated:
                return False
            if wanted.limit is not None and any(
                self._count(task, constraint.name, value) >= wanted.limit.limit for value in here
            ):
                return False
        return True

    def _count(self, task: ScheduledTask, name: str, value: str) -> int:
        by_name = {host.name: host for host in self._cluster.hosts}
        return sum(
            any(a.name == name and value in a.values for a in by_name[other.assigned_task.slave_host or ""].attributes)
            for other in self._ledger.job(task.assigned_task.task.job)
            if other.status in legal.ON_AGENT
        )

    def _waits(self, details: JobUpdateDetails) -> bool:
        """Whether an instance of its job is pending, or fails again and again: the update waits for it, and says so."""
        job = details.update.summary.key.job
        return any(
            task.status in legal.ACTIVE
            and (task.status is ScheduleStatus.PENDING or is_doomed(task.assigned_task.task))
            for task in self._ledger.job(job)
        )
