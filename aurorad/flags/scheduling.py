"""Offers, placement and preemption."""

from __future__ import annotations

import dataclasses

from aurorad.flag_parsing import Duration, declare, non_negative, positive
from aurorad.flags import checks as check

_SCHEDULING = "Offers and scheduling"


@dataclasses.dataclass(frozen=True)
class SchedulingFlags:
    min_offer_hold_time: Duration = declare(300.0, _SCHEDULING, "Least time an offer is held", non_negative)
    hold_offers_forever: bool = declare(False, _SCHEDULING, "Never return an offer that nobody needs")
    offer_hold_jitter_window: Duration = declare(60.0, _SCHEDULING, "Most random extra hold", non_negative)
    offer_filter_duration: Duration = declare(5.0, _SCHEDULING, "How long a declined offer stays away", non_negative)
    offer_order: tuple[str, ...] = declare(
        ("RANDOM",), _SCHEDULING, "Which offers are used first: the least of each in turn", check.offer_order
    )
    unavailability_threshold: Duration = declare(
        360.0, _SCHEDULING, "So long before a host's announced unavailability nothing is placed on it", non_negative
    )
    enable_revocable_cpus: bool = declare(True, _SCHEDULING, "Tasks of revocable tiers run on revocable CPUs")
    enable_revocable_ram: bool = declare(False, _SCHEDULING, "Tasks of revocable tiers run in revocable memory")
    first_schedule_delay: Duration = declare(0.001, _SCHEDULING, "Delay before the first attempt", positive)
    initial_schedule_penalty: Duration = declare(1.0, _SCHEDULING, "First wait after nothing fitted", positive)
    max_schedule_penalty: Duration = declare(60.0, _SCHEDULING, "Longest wait after nothing fitted", positive)
    max_schedule_attempts_per_sec: float | None = declare(
        None, _SCHEDULING, "Most attempts a second; unset = as many as the machine can", positive
    )
    max_tasks_per_schedule_attempt: int = declare(5, _SCHEDULING, "Tasks of a group per attempt", positive)
    scheduling_max_batch_size: int | None = declare(
        None, _SCHEDULING, "Most attempts in one write; unset = as many as take 15 ms", positive
    )
    flapping_task_threshold: Duration = declare(300.0, _SCHEDULING, "Shorter runs are flapping", non_negative)
    initial_flapping_task_delay: Duration = declare(30.0, _SCHEDULING, "First penalty for flapping", positive)
    max_flapping_task_delay: Duration = declare(300.0, _SCHEDULING, "Longest penalty for flapping", positive)
    enable_preemptor: bool = declare(True, _SCHEDULING, "End tasks that matter less for those that wait too long")
    preemption_delay: Duration = declare(180.0, _SCHEDULING, "So long a task waits before others end for it", positive)
    preemption_slot_search_initial_delay: Duration = declare(180.0, _SCHEDULING, "First search for victims", positive)
    preemption_slot_search_interval: Duration = declare(60.0, _SCHEDULING, "Search for victims every", positive)
    preemption_reservation_max_batch_size: int = declare(5, _SCHEDULING, "Slots found for a group in turn", positive)
    preemption_slot_hold_time: Duration = declare(
        300.0, _SCHEDULING, "So long an agent is kept for who waits while the victims there are ending", positive
    )
    offer_reservation_duration: Duration = declare(
        180.0, _SCHEDULING, "So long it is kept for who waits after the victims have ended", positive
    )
    enable_update_affinity: bool = declare(False, _SCHEDULING, "Updates keep instances on their agents where that fits")
    update_affinity_reservation_hold_time: Duration = declare(
        180.0, _SCHEDULING, "So long an agent is kept for the instance that an update ended there", positive
    )
