"""Finds agents where the end of others would make room for pending tasks (scheduling sheet, 6.2).

Agents with the same tasks and the same room left are alike: whether there would be room is worked out once for all of
them and for all groups that ask for the same, and only hosts that could help are ever looked at.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import NamedTuple

from aurorad.api.tasks import JobKey
from aurorad.pace import Pace
from aurorad.rules import matching, preemption
from aurorad.rules.matching import Host, Request
from aurorad.rules.tiers import Tier
from aurorad.scheduler.agents_view import AgentsView, Look


class Wanted(NamedTuple):
    """A group that waits, and for how many of its tasks slots are searched."""

    request: Request
    tier: Tier
    tasks: int


STEPS = 32
"""Looks at an agent between two looks at the clock."""


class SlotSearch:
    """One run over all agents. What it sees is as of its beginning or later: who uses a slot must look again."""

    def __init__(self, view: AgentsView) -> None:
        self._view = view
        self._taken = view.reserved()
        self._everywhere: dict[object, dict[Look, list[str]]] = {}
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
        steps = itertools.count()
        while turns:
            wanted, agents, candidates = turns.popleft()
            due = min(wanted.tasks, len(agents) + batch_size)
            for agent_id in candidates:
                if next(steps) % STEPS == 0:
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
        job, has_limits = wanted.request.config.job, bool(wanted.request.limits)
        census = self._census(job) if has_limits else {}
        for look, agents in (yield from self._alike(wanted)).items():
            if not self._would_have_room(wanted, look, agents[0]):
                yield None
                continue
            for agent_id in agents:
                host = self._host(agent_id) if agent_id not in self._taken else None
                if host is None or not self._view.admits(wanted.request, host, census):
                    yield None
                    continue
                self._taken.add(agent_id)
                if has_limits:
                    matching.count_in(census, host.values)
                yield agent_id

    def _alike(self, wanted: Wanted) -> Generator[None, None, dict[Look, list[str]]]:
        """The agents where the group may find victims and that a value constraint does not rule out, by their look."""
        config = wanted.request.config
        rank = (wanted.tier.preemptible, config.job.role, config.priority)
        allowed = self._allowed(wanted.request)
        if allowed is None and rank in self._everywhere:
            return self._everywhere[rank]
        alike: dict[Look, list[str]] = {}
        if allowed == set():
            return alike
        for agent_id in self._view.victims.agents_for(config.job, config.priority, wanted.tier):
            if allowed is None or agent_id in allowed:
                alike.setdefault(self._view.look(agent_id), []).append(agent_id)
            yield None
        if allowed is None:
            self._everywhere[rank] = alike
        return alike

    def _allowed(self, request: Request) -> set[str] | None:
        """The agents on hosts that have what the strictest value constraint asks for; None: it could be any."""
        asked = [
            (constraint.name, constraint.constraint.value.values)
            for constraint in request.values
            if constraint.constraint is not None
            and constraint.constraint.value is not None
            and not constraint.constraint.value.negated
        ]
        hosts = self._view.hosts
        return hosts.agents_with(*min(asked, key=lambda pair: hosts.count(*pair))) if asked else None

    def _would_have_room(self, wanted: Wanted, look: Look, agent_id: str) -> bool:
        """Whether the end of some tasks would make room on agents of this look."""
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

    def _host(self, agent_id: str) -> Host | None:
        load = self._view.victims.on(agent_id)
        if load is None:
            return None
        host = self._view.host(load)
        self.missing_attributes += host is None
        return host

    def _census(self, job: JobKey) -> dict[tuple[str, str], int]:
        if job not in self._censuses:
            self._censuses[job] = self._view.census(job)
        return self._censuses[job]
