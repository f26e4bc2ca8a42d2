"""What becomes of tasks, hosts, cron jobs and updates."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from aurorad.flag_parsing import Duration, declare, non_negative, positive
from aurorad.flags import checks as check

_SLA = "Maintenance and SLA"
_STATE = "Task state"
_UPDATES = "Updates"


@dataclasses.dataclass(frozen=True)
class TaskFlags:
    host_maintenance_polling_interval: Duration = declare(
        60.0, _SLA, "Hosts being drained are looked at every", positive
    )
    sla_coordinator_timeout: Duration = declare(60.0, _SLA, "How long an SLA coordinator may take to answer", positive)
    max_parallel_coordinated_maintenance: int = declare(10, _SLA, "SLA coordinators asked at the same time", positive)
    sla_stat_refresh_interval: Duration = declare(60.0, _SLA, "SLA statistics are computed every", positive)
    sla_prod_metrics: tuple[str, ...] = declare(
        ("JOB_UPTIMES", "PLATFORM_UPTIME", "MEDIANS"), _SLA, "SLA statistics of production services", check.sla_metrics
    )
    sla_non_prod_metrics: tuple[str, ...] = declare((), _SLA, "SLA statistics of other services", check.sla_metrics)

    async_task_stat_update_interval: Duration = declare(3600.0, _STATE, "Statistics of consumption every", positive)
    async_slot_stat_update_interval: Duration = declare(60.0, _STATE, "Statistics of room in offers every", positive)
    webhook_config: Path | None = declare(None, _STATE, "JSON file: which server to tell of which new states of tasks")
    transient_task_state_timeout: Duration = declare(300.0, _STATE, "Stuck in a transient state: LOST", positive)
    initial_task_kill_retry_interval: Duration = declare(15.0, _STATE, "First wait before a kill is repeated", positive)
    max_status_update_batch_size: int = declare(1000, _STATE, "Status updates applied in one write", positive)
    history_prune_threshold: Duration = declare(172800.0, _STATE, "Age at which ended tasks are forgotten", positive)
    history_min_retention_threshold: Duration = declare(3600.0, _STATE, "Ended tasks are kept this long", non_negative)
    history_max_per_job_threshold: int = declare(100, _STATE, "Ended tasks kept per job", non_negative)
    reconciliation_initial_delay: Duration = declare(60.0, _STATE, "First reconciliation after", non_negative)
    reconciliation_explicit_interval: Duration = declare(3600.0, _STATE, "Reconciliation every", positive)
    reconciliation_explicit_batch_size: int = declare(1000, _STATE, "Tasks asked about at once", positive)
    reconciliation_explicit_batch_interval: Duration = declare(5.0, _STATE, "Wait between batches", non_negative)
    reconciliation_implicit_interval: Duration = declare(
        3600.0, _STATE, "Ask for all the engine's tasks every", positive
    )
    reconciliation_schedule_spread: Duration = declare(
        1800.0, _STATE, "First asked for all its tasks so much later than for ours", non_negative
    )
    cron_timezone: str = declare("GMT", _STATE, "Time zone of cron schedules, such as Europe/Berlin", check.zone_name)
    cron_scheduling_max_batch_size: int = declare(10, _STATE, "Most cron jobs started in one write", positive)
    cron_scheduler_num_threads: int = declare(10, _STATE, "Taken and of no effect: there are no threads", positive)
    cron_start_initial_backoff: Duration = declare(
        5.0, _STATE, "Taken and of no effect: a run starts as soon as the one killed for it is gone", positive
    )
    cron_start_max_backoff: Duration = declare(60.0, _STATE, "Taken and of no effect, likewise", positive)

    sla_aware_action_max_batch_size: int = declare(300, _UPDATES, "SLA-aware kills tried at the same time", positive)
    sla_aware_kill_retry_min_delay: Duration = declare(60.0, _UPDATES, "First wait before one is retried", positive)
    sla_aware_kill_retry_max_delay: Duration = declare(300.0, _UPDATES, "Longest wait before one is retried", positive)
    job_update_history_per_job_threshold: int = declare(10, _UPDATES, "Ended updates kept per job", non_negative)
    job_update_history_pruning_interval: Duration = declare(900.0, _UPDATES, "Ended updates are pruned every", positive)
    job_update_history_pruning_threshold: Duration = declare(
        2592000.0, _UPDATES, "Ended updates kept at most", positive
    )
