"""What tasks take, roles may take, and offers have room for, as statistics (vars sheet, section 9)."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import trio

from aurorad.api.enums import ACTIVE_STATES
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import quota
from aurorad.rules.admission import DEDICATED, is_dedicated
from aurorad.rules.quota import Amounts
from aurorad.rules.slots import SIZES, empty_slots
from aurorad.scheduler.offers import Offers
from aurorad.storage.tables import Tables
from aurorad.vars import Vars

POOLS = ("total", "dedicated", "quota", "free_pool")

_Values = dict[str, int | float | str]

_MOST = 2**63 - 1
"""Sums of what nobody could ever have may be infinite; all who read statistics can read this."""


class ResourceStats:
    """Computed now and then, a little at a time."""

    def __init__(self, *, tables: Tables, offers: Offers, flags: Flags, stats: Vars) -> None:
        self._tables = tables
        self._offers = offers
        self._flags = flags
        self._stats = stats
        self._consumption: _Values = {}
        self._slots: _Values = {}
        stats.family(lambda: self._consumption)
        stats.family(lambda: self._slots)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            every_s = self._flags.async_task_stat_update_interval
            nursery.start_soon(self._regularly, "task_stat_calculator_run", self.count_consumption, every_s)
            every_s = self._flags.async_slot_stat_update_interval
            nursery.start_soon(self._regularly, "slot_size_counter_run", self.count_slots, every_s)

    async def _regularly(self, name: str, count: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            began = trio.current_time()
            await count()
            self._stats.observe(name, trio.current_time() - began)
            await trio.sleep(every_s)

    async def count_consumption(self) -> None:
        """Of active tasks, by pool and role; and the quotas."""
        pace = Pace()
        totals = dict.fromkeys(POOLS, Amounts())
        per_role: dict[tuple[str, str], Amounts] = {}
        for task in itertools.chain.from_iterable(self._tables.by_job()):
            if task.status in ACTIVE_STATES:
                config = task.assigned_task.task
                amounts = quota.total(config.resources)
                pool = "dedicated" if is_dedicated(config) else "quota" if config.production else "free_pool"
                for name in ("total", pool):
                    totals[name] += amounts
                    key = (name, config.job.role)
                    per_role[key] = per_role.get(key, Amounts()) + amounts
            await pace.breathe()
        values: _Values = {}
        for name, amounts in totals.items():
            values |= _named(f"resources_{name}_consumed", amounts)
        for (name, role), amounts in per_role.items():
            values |= _named(f"resources_per_role_{name}_consumed_{role}", amounts)
        granted = {role: quota.total(row.resources) for role, row in self._tables.quotas.items()}
        for role, amounts in granted.items():
            values |= _named(f"quota_per_role_{role}", amounts)
        self._consumption = values | _named("resources_allocated_quota", sum(granted.values(), Amounts()))

    async def count_slots(self) -> None:
        """Room in the offers that are held, for tasks of each size."""
        pace = Pace()
        counts: Counter[str] = Counter(
            {f"empty_slots_{d}{r}{size}": 0 for d in ("", "dedicated_") for r in ("", "revocable_") for size in SIZES}
        )
        for offer in list(self._offers.all()):
            held = self._offers.agent(offer.agent_id)
            if held is not None:
                kind = "dedicated_" if DEDICATED in held.values else ""
                _count_in(counts, kind, empty_slots(held.bag))
                if any(resource.revocable for resource in offer.resources):
                    _count_in(counts, f"{kind}revocable_", empty_slots(held.revocable_bag))
            await pace.breathe()
        self._slots = dict(counts)


def _count_in(counts: Counter[str], kind: str, slots: Mapping[str, int]) -> None:
    for size, count in slots.items():
        counts[f"empty_slots_{kind}{size}"] += count


def _named(name: str, amounts: Amounts) -> _Values:
    values = {"cpu_cores": amounts.cpus, "ram_mb": amounts.ram_mb, "disk_mb": amounts.disk_mb}
    return {f"{name}_{kind}".lower(): int(min(value, _MOST)) for kind, value in values.items()}
