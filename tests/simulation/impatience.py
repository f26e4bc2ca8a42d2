"""The flags of a simulated scheduler."""

from __future__ import annotations

import dataclasses
import random

from aurorad.flags import Flags
from tests.simulation.promises import MIN_INSTANCES


def impatient(rng: random.Random) -> Flags:
    """As an impatient operator would set them: what takes minutes and hours takes seconds and minutes."""
    return dataclasses.replace(
        Flags(),
        transient_task_state_timeout=30.0,
        initial_task_kill_retry_interval=4.0,
        flapping_task_threshold=5.0,
        initial_flapping_task_delay=1.0,
        max_flapping_task_delay=8.0,
        initial_schedule_penalty=0.5,
        max_schedule_penalty=10.0,
        min_offer_hold_time=rng.choice((10.0, 60.0)),
        offer_hold_jitter_window=5.0,
        offer_filter_duration=2.0,
        hold_offers_forever=rng.random() < 0.2,
        max_tasks_per_schedule_attempt=rng.choice((1, 5)),
        max_status_update_batch_size=rng.choice((1, 1000)),
        reconciliation_initial_delay=10.0,
        reconciliation_schedule_spread=10.0,
        reconciliation_explicit_interval=60.0,
        reconciliation_implicit_interval=60.0,
        history_min_retention_threshold=rng.choice((20.0, 3600.0)),
        history_max_per_job_threshold=rng.choice((3, 100)),
        host_maintenance_polling_interval=5.0,
        min_required_instances_for_sla_check=MIN_INSTANCES,
        sla_aware_kill_non_prod=True,
        preemption_delay=1.0,
        preemption_slot_search_initial_delay=2.0,
        preemption_slot_search_interval=3.0,
        preemption_slot_hold_time=10.0,
        offer_reservation_duration=10.0,
        enable_update_affinity=rng.random() < 0.5,
        update_affinity_reservation_hold_time=10.0,
        sla_aware_kill_retry_min_delay=1.0,
        sla_aware_kill_retry_max_delay=5.0,
        dlog_snapshot_interval=rng.choice((15.0, 600.0)),
        dlog_max_entry_size=rng.choice((2 << 10, 512 << 10)),
    )
