"""The candidates of all requests: each is made once, shared by all who ask for the same, and kept for the next."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from aurorad.api.tasks import JobKey
from aurorad.rules.matching import Request
from aurorad.scheduler.candidates import Candidates, key_of
from aurorad.scheduler.census import LiveCensus
from aurorad.scheduler.offers import Offers
from aurorad.storage.tables import Tables
from aurorad.vars import Vars

_SPARE = 256
"""Requests that nobody makes now, but may make again soon: their knowledge is kept."""


class SharedCandidates:
    def __init__(
        self, tables: Callable[[], Tables], offers: Offers, stats: Vars, unavailable_before_ms: Callable[[], int]
    ) -> None:
        self._tables = tables
        self._offers = offers
        self._stats = stats
        self._unavailable_before_ms = unavailable_before_ms
        self._used: dict[Hashable, Candidates] = {}
        self._users: dict[Hashable, int] = {}
        self._spare: dict[Hashable, Candidates] = {}  # the longest unused first
        self._limited: dict[JobKey, dict[Hashable, Candidates]] = {}

    def of_job(self, job: JobKey) -> Iterable[Candidates]:
        """Those that limits of a job apply to: all of them have a census."""
        return self._limited.get(job, _NONE).values()

    def acquire(self, request: Request) -> Candidates:
        """To be released once as often as acquired."""
        key = key_of(request)
        self._users[key] = self._users.get(key, 0) + 1
        candidates = self._used.get(key) or self._spare.pop(key, None)
        if candidates is None:
            candidates = self._new(key, request)
        self._used[key] = candidates
        return candidates

    def release(self, candidates: Candidates) -> None:
        key = candidates.key
        self._users[key] -= 1
        if self._users[key]:
            return
        del self._users[key]
        self._spare[key] = self._used.pop(key)
        if len(self._spare) > _SPARE:
            self._forget(next(iter(self._spare)))

    def _new(self, key: Hashable, request: Request) -> Candidates:
        census = None
        if request.limits:
            census = LiveCensus(self._tables(), request.config.job, {limit.name: None for limit in request.limits})
        candidates = Candidates(key, request, self._offers, census, self._stats, self._unavailable_before_ms)
        if census is not None:
            self._limited.setdefault(request.config.job, {})[key] = candidates
        return candidates

    def _forget(self, key: Hashable) -> None:
        candidates = self._spare.pop(key)
        job = candidates.request.config.job
        of_job = self._limited.get(job, {})
        of_job.pop(key, None)
        if not of_job:
            self._limited.pop(job, None)


_NONE: dict[Hashable, Candidates] = {}
