"""Finds agents where the end of others would make room for pending tasks (scheduling sheet, 6.2).

Agents with the same tasks and the same room left are alike: whether there would be room is worked out once for all of
them and for all groups that ask for the same, and only hosts that could help are ever looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator
from typing import NamedTuple

from aurorad.api.tasks import JobKey
from aurorad.pace import Pace
from aurorad.rules import matching, preemption
from aurorad.rules.matching import Request
from aurorad.rules.tiers import Tier
from aurorad.scheduler.agents_view import AgentsView


class Wanted(NamedTuple):
    """A group that waits: and how many of its tasks a slot is searched for."""

    request: Request
    tier: Tier
    tasks: int


_Look = tuple[object, ...]
"""What agents that are alike have in common: their tasks, and what they offer."""


class SlotSearch:
    """One run over all agents. What it sees is as of its beginning or later: who uses a slot must look again."""

    def __init__(self, view: AgentsView) -> None:
        self._view = view
        self._taken = view.reserved()
        self._looks: dict[str, _Look] = {}
        self._everywhere: dict[object, dict[_Look, list[str]]] = {}
        self._makes_room: dict[object, bool] = {}
        self._censuses: dict[JobKey, dict[tuple[str, str], int]] = {}
        self.missing_attributes = 0

    async def find(self, groups: Iterable[Wanted], batch_size: int) -> list[tuple[Wanted, list[str]]]:
        """The agents with a slot for each group: up to `batch_size` for each in turn, until all tasks have theirs.

        A group for which no agent is left drops out. No agent is found twice.
        """
        found: list[tuple[Wanted, list[str]]] = [(wanted, []) for wanted in groups]
        turns = deque((wanted, agents, self._agents_for(wanted)) for wanted, agents in found)
        pace = Pace()
        while turns:
            wanted, agents, candidates = turns.popleft()
            due = min(wanted.tasks, len(agents) + batch_size)
            for agent_id in candidates:
                await pace.breathe()
                if agent_id is not None:
                    agents.append(agent_id)
                    if len(agents) == due:
                        break
            else:
                continue
            if len(agents) < wanted.tasks:
                turns.append((wanted, agents, candidates))
        return found

    def _agents_for(self, wanted: Wanted) -> Iterator[str | None]:
        """Agents with a slot, one after the other; None for every step on the way, however small."""
        for look, agents in (yield from self._alike(wanted)).items():
            if not self._would_have_room(wanted, look, agents[0]):
                yield None
                continue
            for agent_id in agents:
                if agent_id not in self._taken and self._admits(wanted.request, agent_id):
                    self._taken.add(agent_id)
                    yield agent_id
                else:
                    yield None

    def _alike(self, wanted: Wanted) -> Generator[None, None, dict[_Look, list[str]]]:
        """The agents where the group may find victims and that a value constraint does not rule out, by their look."""
        config = wanted.request.config
        rank = (wanted.tier.preemptible, config.job.role, config.priority)
        allowed = self._allowed(wanted.request)
        if allowed is None and rank in self._everywhere:
            return self._everywhere[rank]
        alike: dict[_Look, list[str]] = {}
        if allowed == set():
            return alike
        for agent_id in self._view.victims.agents_for(config.job, config.priority, wanted.tier):
            if allowed is None or agent_id in allowed:
                alike.setdefault(self._look(agent_id), []).append(agent_id)
            yield None
        if allowed is None:
            self._everywhere[rank] = alike
        return alike

    def _allowed(self, request: Request) -> set[str] | None:
        """The agents on hosts that have what the strictest value constraint asks for; None: it could be any."""
        strictest: list[Collection[str]] | None = None
        for constraint in request.values:
            value = constraint.constraint.value if constraint.constraint is not None else None
            if value is not None and not value.negated:
                hosts = self._view.hosts.with_any(constraint)
                if strictest is None or sum(map(len, hosts)) < sum(map(len, strictest)):
                    strictest = hosts
        if strictest is None:
            return None
        known = [self._view.hosts.get(hostname) for hosts in strictest for hostname in hosts]
        return {host[0].slave_id for host in known if host is not None and host[0].slave_id is not None}

    def _look(self, agent_id: str) -> _Look:
        look = self._looks.get(agent_id)
        if look is None:
            load = self._view.victims.on(agent_id)
            room = tuple(self._view.room(agent_id).items())
            look = self._looks[agent_id] = (load.composition if load is not None else (), room)
        return look

    def _would_have_room(self, wanted: Wanted, look: _Look, agent_id: str) -> bool:
        config = wanted.request.config
        asked = (tuple(wanted.request.total.items()), wanted.tier, config.job.role, config.priority, look)
        answer = self._makes_room.get(asked)
        if answer is None:
            load = self._view.victims.on(agent_id)
            active = load.victims.values() if load is not None else ()
            room = self._view.room(agent_id)
            answer = bool(preemption.choose_victims(wanted.request, wanted.tier, active, room))
            self._makes_room[asked] = answer
        return answer

    def _admits(self, request: Request, agent_id: str) -> bool:
        """Whether nothing but resources speaks against this agent; if so, the task counts as being there."""
        load = self._view.victims.on(agent_id)
        values = self._view.values(load) if load is not None else None
        if load is None or values is None:
            self.missing_attributes += 1
            return False
        if not request.limits:
            return self._view.admits(request, load, {})
        census = self._census(request.config.job)
        if not self._view.admits(request, load, census):
            return False
        matching.count_in(census, values)
        return True

    def _census(self, job: JobKey) -> dict[tuple[str, str], int]:
        if job not in self._censuses:
            self._censuses[job] = self._view.census(job)
        return self._censuses[job]
