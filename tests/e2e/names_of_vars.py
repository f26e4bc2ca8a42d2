"""The statistics that the original exports, as the vars sheet has them, and those of them that make no sense here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

JOB = "www-data/devel/seen"
LARGE = "www-data/devel/large"  # it never fits


def sliding(name: str, unit: str) -> list[str]:
    return [f"{name}_{what}" for what in ("events", f"{unit}_total", "events_per_sec", f"{unit}_total_per_sec")] + [
        f"{name}_{unit}_per_event"
    ]


def timed(*names: str) -> list[str]:
    return [each for name in names for each in sliding(name, "nanos")]


def batch(name: str) -> list[str]:
    gauges = [f"{name}_{what}" for what in ("queue_size", "last_processed_batch_size")]
    counters = [f"{name}_{what}_processed" for what in ("items", "batches")]
    return [*gauges, *counters, *timed(f"{name}_batch_unlocked", f"{name}_batch_locked")]


def cache(name: str) -> list[str]:
    return [f"{name}_cache_{what}" for what in ("size", "removals", "expiration_removals", "explicit_removals")]


def all_of(before: str, names: str, after: str = "") -> list[str]:
    return [f"{before}{name}{after}" for name in names.split()]


_STATUSES = (
    "PENDING STARTING RUNNING FINISHED FAILED KILLED KILLING LOST ASSIGNED INIT RESTARTING PREEMPTING THROTTLED "
    "DRAINING PARTITIONED"
)
_UPDATE_STATUSES = (
    "ROLLING_FORWARD ROLLING_BACK ROLL_FORWARD_PAUSED ROLL_BACK_PAUSED ROLLED_FORWARD ROLLED_BACK ABORTED ERROR FAILED "
    "ROLL_FORWARD_AWAITING_PULSE ROLL_BACK_AWAITING_PULSE"
)
_ACTIONS = (
    "INSTANCE_UPDATED INSTANCE_ROLLED_BACK INSTANCE_UPDATING INSTANCE_ROLLING_BACK INSTANCE_UPDATE_FAILED "
    "INSTANCE_ROLLBACK_FAILED"
)
_AMOUNTS = ("cpu_cores", "ram_mb", "disk_mb")
_POOLS = ("total", "dedicated", "quota", "free_pool")
_SIZES = ("small", "medium", "large", "xlarge")


def preemption(kind: str) -> list[str]:
    return [
        *all_of("preemptor_slot_search_", "attempts successful failed", f"_for_{kind}"),
        f"preemptor_tasks_preempted_{kind}",
    ]


def sla(prefix: str, *, job: bool = False) -> list[str]:
    """Those of services that are not production; those of production have no suffix."""
    names = all_of("", "mtta_ms mtts_ms mttr_ms")
    if job:
        names += [f"job_uptime_{percentile}_sec" for percentile in ("50.00", "75.00", "90.00", "95.00", "99.00")]
    if job or prefix == "cluster":
        names.append("platform_uptime_percent")
    return [f"sla_{prefix}_{name}_nonprod" for name in names]


EXPORTED: dict[str, list[str]] = {
    "process": [
        *all_of("jvm_", "uptime_secs time_ms available_processors gc_collection_count threads_active"),
        *all_of("system_", "load_avg free_physical_memory_mb"),
        *all_of("process_", "cpu_cores_utilized cpu_time_nanos max_fd_count open_fd_count"),
        "build.version",
    ],
    "lifecycle and cron": [
        *all_of(
            "scheduler_lifecycle_",
            "IDLE PREPARING_STORAGE STORAGE_PREPARED LEADER_AWAITING_REGISTRATION ACTIVE DEAD",
        ),
        "quartz_scheduler_running",
        "cron_jobs_loaded",
        *all_of("cron_job_", "launch_failures triggers misfires parse_failures collisions concurrent_runs"),
        *all_of("CronBatchWorker_", "items_processed batches_processed"),
        *all_of("TaskGroupBatchWorker_", "queue_size items_processed batches_processed"),
        *timed("TaskGroupBatchWorker_batch_locked"),
    ],
    "backups": all_of("scheduler_backup_", "success failed"),
    "engine": [
        "framework_registered",
        *all_of("scheduler_", "framework_reregisters framework_disconnects resource_offers lost_executors"),
        *timed("scheduler_resource_offers", "scheduler_status_update"),
        *all_of("", "offers_rescinded slaves_lost scheduler_status_update status_updates_queue_size"),
        *all_of("", "scheduler_inverse_offers"),
    ],
    "tasks and scheduling": [
        *all_of("task_store_", _STATUSES),
        f"tasks_LOST_{JOB}",
        f"tasks_FAILED_{JOB}",
        *all_of("scheduling_veto_", "static dynamic mixed constraint_mismatch dedicated_constraint_mismatch"),
        *all_of("scheduling_veto_", "insufficient_resources limit_not_satisfied maintenance"),
        *all_of("schedule_attempts_", "fired no_match blocks"),
        *sliding("scheduled_task_penalty", "ms"),
        *sliding("task_throttle", "ms"),
        *all_of("", "assigner_launch_failures outstanding_offers veto_evaluated_offers"),
        *all_of("offer_", "accept_races cancel_failures"),
        *cache("reservation"),
        *cache("update_affinity"),
        *all_of("", "scheduler_illegal_task_state_transitions timed_out_tasks task_kill_retries"),
        *all_of("reconciliation_", "explicit_runs implicit_runs"),
        *all_of("", "tasks_pruned job_updates_pruned"),
    ],
    "preemption": [
        *preemption("prod"),
        *preemption("non_prod"),
        *all_of("preemptor_slot_validation_", "successful failed"),
        *all_of("preemptor_", "missing_attributes task_processor_runs unmatched_tasks"),
        *timed("pending_task_processor_run"),
        f"preemption_slot_search_attempts_for_{LARGE}",
        *all_of("preemptor_slot_search_", "successful failed", f"_for_{LARGE}"),
    ],
    "API": [
        *timed("scheduler_thrift_createJob", "scheduler_thrift_killTasks"),
        "scheduler_thrift_response_OK",
        *all_of("thrift_workload_", "createJob createOrUpdateCronTemplate killTasks restartShards addInstances"),
        *all_of("thrift_workload_", "startMaintenance drainHosts slaDrainHosts maintenanceStatus endMaintenance"),
        *all_of("thrift_workload_", "startJobUpdate pruneTasks"),
        *timed("http_200_responses"),
        "http_500_responses_events",
        "shiro_authorization_failures",
        "shiro_bad_requests",
        *all_of("webhooks_", "attempts success errors user_errors"),
    ],
    "updates and maintenance": [
        *all_of("update_transition_", _UPDATE_STATUSES),
        *all_of("update_instance_transition_", _ACTIONS),
        "missing_maintenance_request",
        *all_of("sla_coordinator_", "attempts success errors user_errors lock_starvation"),
        *timed("runOneIteration"),
    ],
    "SLA and resources": [
        *sla(JOB, job=True),
        *sla("cluster"),
        *sla("cpu_small"),
        *sla("ram_small"),
        *sla("disk_small"),
        *timed("sla_stats_computation"),
        *(f"resources_{pool}_consumed_{amount}" for pool in _POOLS for amount in _AMOUNTS),
        *(f"resources_allocated_quota_{amount}" for amount in _AMOUNTS),
        *(f"empty_slots_{d}{r}{s}" for d in ("", "dedicated_") for r in ("", "revocable_") for s in _SIZES),
        *timed("task_stat_calculator_run", "slot_size_counter_run"),
    ],
    "storage": [
        *all_of("scheduler_log_", "un_snapshotted_transactions bytes_written entries_written bytes_read"),
        *all_of("scheduler_log_", "entries_read bad_frames_read snapshots"),
        *all_of("scheduler_backup_", "success failed"),
        *timed("scheduler_log_native_append", "scheduler_storage_recover", "scheduler_log_snapshot"),
        *all_of("task_queries_", "by_id by_job by_host all"),
        *all_of("task_store_index_", "job_items host_items"),
        *all_of("mem_storage_", "attribute_size cron_size quota_size update_size maintenance_size"),
    ],
}
"""What must be there after a job was seen to run, fail and be lost."""

_STORE_OPERATIONS = (
    "fetch_task fetch_tasks get_job_keys save_tasks delete_tasks delete_all_tasks mutate_task cron_save_accepted_job "
    "cron_remove_job cron_delete_jobs cron_fetch_jobs cron_fetch_job read_operation write_operation"
)
_UPDATE_OPERATIONS = (
    "fetch_details_query fetch_details save_update save_event save_instance_event delete_updates delete_all "
    "prune_history"
)
_SNAPSHOT_FIELDS = "hosts quota tasks crons job_updates scheduler_metadata host_maintenance_requests"

NOT_HERE: dict[str, list[str]] = {
    "there is no Java machine: process_resident_memory_mb tells of memory": [
        *all_of("jvm_memory_", "free_mb max_mb mb_total heap_mb_used heap_mb_committed heap_mb_max"),
        *all_of("jvm_memory_non_heap_mb_", "used committed max"),
        *all_of("jvm_class_", "loaded_count total_loaded_count unloaded_count"),
        *all_of("jvm_", "gc_collection_time_ms threads_daemon threads_peak threads_started"),
        "system_free_swap_mb",
        *sliding("variable_scrape", "micros"),
    ],
    "arguments and environment may hold secrets": ["jvm_input_arguments", "system_env_HOME"],
    "there are no pools of threads, no timeout queue, no event bus and no workers behind queues": [
        *all_of("", "async_tasks_completed async_executor_uncaught_exceptions timeout_queue_size"),
        *all_of("event_bus_", "dead_events exceptions"),
        *batch("TaskEventBatchWorker"),
        *batch("UpdateActionBatchWorker"),
        *all_of("CronBatchWorker_", "queue_size last_processed_batch_size"),
        *timed("CronBatchWorker_batch_unlocked", "CronBatchWorker_batch_locked"),
        "TaskGroupBatchWorker_last_processed_batch_size",
        *timed("TaskGroupBatchWorker_batch_unlocked"),
    ],
    "what nobody expects ends the daemon instead of being counted": [
        *all_of("", "uncaught_exceptions schedule_attempts_failed"),
        *all_of("job_update_", "recovery_errors delete_errors state_change_errors"),
    ],
    "only -engine=mesos talks to a master": [
        "mesos_scheduler_subscription_attempts",
        "mesos_scheduler_event_OFFERS",
        *timed("scheduler_received", "scheduler_framework_message"),
        *all_of("scheduler_", "framework_message driver_kill_failures"),
    ],
    "a scheduler that is alone asks no ZooKeeper": [
        *all_of("zk_connection_state_", "CONNECTED SUSPENDED RECONNECTED LOST READ_ONLY"),
        *all_of("zk_connection_state_", "CONNECTED SUSPENDED RECONNECTED LOST READ_ONLY", "_counter"),
    ],
    "an offer is judged once for all that ask for the same: nothing is banned, and too little is done to be timed": [
        *all_of("statically_banned_offers_", "size hit_rate"),
        "globally_banned_offers_size",
        *timed("task_schedule_attempt", "assigner_maybe_assign", "scheduling_filter", "notifying_scheduling_filter"),
        *timed("offer_manager_launch_task"),
    ],
    "a slot is used when it is found": cache("preemption_slot"),
    "sums and counts of updates' delivery need no errors and percentiles": [
        *all_of("task_delivery_delay_SOURCE_EXECUTOR_", "errors reconnects timeouts 50_0_percentile"),
    ],
    "the log is a file: its entries are not deflated or skipped, and it neither times out nor fails and goes on": [
        "scheduler_log_deflated_entries_read",
        *all_of("scheduler_log_native_", "read_timeouts append_timeouts truncate_timeouts native_entries_skipped"),
        *all_of("scheduler_log_native_", "read_failures append_failures truncate_failures"),
        *timed("scheduler_log_native_read", "scheduler_log_native_truncate_before", "scheduler_log_snapshot_persist"),
        *timed("log_manager_snapshot", "log_manager_deflate", "log_manager_append"),
        *timed("log_entry_serialize", "log_entry_checksum", "log_entry_encode"),
    ],
    "writes are not locked out by each other, and what they do to tables is too quick to be timed": [
        *sliding("storage_write_lock_wait", "ns"),
        *timed(*all_of("mem_storage_", _STORE_OPERATIONS), *all_of("job_update_store_", _UPDATE_OPERATIONS)),
        *timed(*all_of("snapshot_", "deduplicate reduplicate create apply")),
        *(each for field in all_of("", _SNAPSHOT_FIELDS) for each in timed(f"snapshot_save_{field}")),
        *(each for field in all_of("", _SNAPSHOT_FIELDS) for each in timed(f"snapshot_restore_{field}")),
        *timed("scheduler_storage_prepare", "scheduler_storage_start"),
    ],
}
"""What is left out, and why. Names of jobs, roles, racks and hosts appear with what they name, and are not here."""


def names(groups: dict[str, list[str]]) -> Iterator[str]:
    yield from _flat(groups.values())


def _flat(lists: Iterable[list[str]]) -> Iterator[str]:
    for each in lists:
        yield from each
