"""What preemption knows of agents: their tasks, their hosts, what they offer (scheduling sheet, 6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from aurorad.api.enums import SLAVE_ASSIGNED_STATES, MaintenanceMode
from aurorad.api.tasks import HostAttributes, JobKey, ScheduledTask
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import matching
from aurorad.rules.matching import Census, Host, Request, Values
from aurorad.rules.resources import Bag, ResourceType
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.reservations import Reservations
from aurorad.scheduler.victims import REACHABLE_STATES, AgentLoad, Composition, Victims
from aurorad.storage.tables import Tables


class HostIndex:
    """Hosts by the values of their attributes. It follows the table of hosts by `refresh`."""

    def __init__(self) -> None:
        self._rows: dict[str, HostAttributes] = {}
        self._hosts: dict[str, Host] = {}
        self._by_value: dict[tuple[str, str], dict[str, None]] = {}

    async def refresh(self, rows: Mapping[str, HostAttributes]) -> None:
        """Take over what changed. Rows are immutable, so what is the same object is equal, and that is soon seen."""
        if self._rows == rows:
            return
        pace = Pace()
        for hostname, row in list(rows.items()):
            if self._rows.get(hostname) is not row:
                self._put(hostname, row)
                await pace.breathe()

    def get(self, row: HostAttributes) -> Host:
        """The host of a row, which may be news."""
        return self._hosts[row.host] if self._rows.get(row.host) is row else _host(row)

    def agents_with(self, name: str, values: Iterable[str]) -> set[str]:
        """The agents of the hosts that have any of these values of an attribute."""
        rows = [self._rows[hostname] for value in values for hostname in self._by_value.get((name, value), ())]
        return {row.slave_id for row in rows if row.slave_id is not None}

    def count(self, name: str, values: Iterable[str]) -> int:
        """How many those are at most."""
        return sum(len(self._by_value.get((name, value), ())) for value in values)

    def _put(self, hostname: str, row: HostAttributes) -> None:
        old = self._hosts.get(hostname)
        for pair in _pairs(old.values) if old is not None else ():
            self._by_value[pair].pop(hostname, None)
        host = _host(row)
        self._rows[hostname] = row
        self._hosts[hostname] = host
        for pair in _pairs(host.values):
            self._by_value.setdefault(pair, {})[hostname] = None


def _host(row: HostAttributes) -> Host:
    return Host(matching.values_of(row.attributes), row.mode or MaintenanceMode.NONE)


def _pairs(values: Values) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, present in values.items() for value in present)


Look = tuple[Composition, tuple[tuple[ResourceType, float], ...]]
"""What agents that are alike have in common: their tasks, and what they offer."""


class AgentsView:
    """Agents as they are now. Only agents that run tasks are of interest here."""

    def __init__(
        self,
        *,
        tables: Tables,
        offers: Offers,
        reservations: Reservations,
        victims: Victims,
        flags: Flags,
        now_ms: Callable[[], int],
    ) -> None:
        self.victims = victims
        self.hosts = HostIndex()
        self._tables = tables
        self._offers = offers
        self._reservations = reservations
        self._threshold_ms = round(flags.unavailability_threshold * 1000)
        self._now_ms = now_ms
        self._unavailable_before_ms = 0

    async def refresh(self) -> None:
        """Take notice of hosts that are new or have changed, and of the time."""
        self._unavailable_before_ms = self._now_ms() + self._threshold_ms
        await self.hosts.refresh(self._tables.hosts)

    def reserved(self) -> set[str]:
        """The agents that are kept for somebody."""
        return self._reservations.kept()

    def room(self, agent_id: str) -> Bag:
        """What an agent offers already, without what is revocable."""
        held = self._offers.agent(agent_id)
        return held.bag if held is not None else {}

    def census(self, job: JobKey) -> dict[tuple[str, str], int]:
        """Where the tasks of a job are, and where agents are reserved for them."""
        hosts = [task.assigned_task.slave_host for task in self._tables.job_tasks(job, SLAVE_ASSIGNED_STATES)]
        for agent_id in self._reservations.agents_of_job(job):
            load = self.victims.on(agent_id)
            hosts.append(load.hostname if load is not None else None)
        rows = [self._tables.hosts.get(hostname) for hostname in hosts if hostname is not None]
        return matching.census_of(row.attributes for row in rows if row is not None)

    def look(self, agent_id: str) -> Look:
        held = self._offers.agent(agent_id)
        load = self.victims.on(agent_id)
        return (load.composition if load is not None else (), tuple(held.bag.items()) if held is not None else ())

    def host(self, load: AgentLoad) -> Host | None:
        """None for a host that nothing is known of."""
        row = self._tables.hosts.get(load.hostname)
        if row is None:
            return None
        host, held = self.hosts.get(row), self._offers.agent(load.agent_id)
        if held is None or held.offer.unavailability_start_ms is None:
            return host
        return host._replace(unavailability_start_ms=held.offer.unavailability_start_ms)

    def admits(self, request: Request, host: Host, census: Census) -> bool:
        """Whether nothing but resources speaks against this host."""
        return not matching.judge(request, request.total, host, census, self._unavailable_before_ms)

    def is_up_to_date(self, load: AgentLoad) -> bool:
        """Whether all that came to this agent or left it has been told of."""
        on_host = self._tables.host_tasks(load.hostname)
        here = {task.assigned_task.task_id for task in on_host if _is_here(task, load.agent_id)}
        return here == load.victims.keys()


def _is_here(task: ScheduledTask, agent_id: str) -> bool:
    return task.status in REACHABLE_STATES and task.assigned_task.slave_id == agent_id
