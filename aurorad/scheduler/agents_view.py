"""What preemption knows of agents: their tasks, their hosts, what they offer (scheduling sheet, 6)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from aurorad.api.enums import SLAVE_ASSIGNED_STATES, MaintenanceMode
from aurorad.api.tasks import Constraint, HostAttributes, JobKey, TaskQuery
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import matching
from aurorad.rules.matching import Host, Request, Values
from aurorad.rules.resources import Bag
from aurorad.scheduler.offers import Offers
from aurorad.scheduler.reservations import Reservations
from aurorad.scheduler.victims import REACHABLE_STATES, AgentLoad, Victims
from aurorad.storage.tables import Tables


class HostIndex:
    """Hosts by the values of their attributes. It follows the table of hosts by `refresh`."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[HostAttributes, Values]] = {}
        self._by_value: dict[tuple[str, str], dict[str, None]] = {}

    async def refresh(self, hosts: Mapping[str, HostAttributes]) -> None:
        """Take over what changed; rows are immutable, so one that is the same object is the same."""
        pace = Pace()
        for name, host in list(hosts.items()):
            old = self._known.get(name)
            if old is None or old[0] is not host:
                self._put(name, host)
                await pace.breathe()

    def get(self, hostname: str) -> tuple[HostAttributes, Values] | None:
        return self._known.get(hostname)

    def with_any(self, constraint: Constraint) -> list[Collection[str]]:
        """The hosts with each of the values that a constraint names."""
        wanted = constraint.constraint.value if constraint.constraint is not None else None
        return [self._by_value.get((constraint.name, value), {}) for value in (wanted.values if wanted else ())]

    def _put(self, hostname: str, host: HostAttributes) -> None:
        _, old = self._known.get(hostname, (None, {}))
        for pair in _pairs(old):
            self._by_value[pair].pop(hostname, None)
        values = matching.values_of(host.attributes)
        self._known[hostname] = (host, values)
        for pair in _pairs(values):
            self._by_value.setdefault(pair, {})[hostname] = None


def _pairs(values: Values) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, present in values.items() for value in present)


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

    async def refresh(self) -> None:
        """Take notice of hosts that are new or have changed."""
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

    def values(self, load: AgentLoad) -> Values | None:
        """The attributes of an agent's host; None for a host that nothing is known of."""
        known = self.hosts.get(load.hostname)
        return known[1] if known is not None else None

    def admits(self, request: Request, load: AgentLoad, census: Mapping[tuple[str, str], int]) -> bool:
        """Whether nothing but resources speaks against this agent."""
        row, values = self._tables.hosts.get(load.hostname), self.values(load)
        if row is None or values is None:
            return False
        held = self._offers.agent(load.agent_id)
        start_ms = held.offer.unavailability_start_ms if held is not None else None
        host = Host(values, row.mode or MaintenanceMode.NONE, start_ms)
        return not matching.judge(request, request.total, host, census, self._now_ms() + self._threshold_ms)

    def is_up_to_date(self, load: AgentLoad) -> bool:
        """Whether all that came to this agent, or left it, has been told of."""
        on_host = self._tables.tasks(TaskQuery(slave_hosts=frozenset({load.hostname}), statuses=REACHABLE_STATES))
        here = {task.assigned_task.task_id for task in on_host if task.assigned_task.slave_id == load.agent_id}
        return here == load.victims.keys()
