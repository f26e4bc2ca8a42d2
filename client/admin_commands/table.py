"""Every command of `aurora_admin`, with where its code is: only the one that runs is imported."""

from __future__ import annotations

from client.nouns import Verb

_HERE = "client.admin_commands"

COMMANDS: dict[str, Verb] = {
    "backup": Verb("Write a backup, or a scheduler's state, into an SQLite file", f"{_HERE}.export:BACKUP"),
    "force_task_state": Verb("Have a task be in another state, whatever is true", f"{_HERE}.tasks:FORCE_STATE"),
    "get_cluster_config": Verb("Print a cluster's entry of clusters.json", f"{_HERE}.clusters:CONFIG"),
    "get_scheduler": Verb("Print where the scheduler that leads listens", f"{_HERE}.clusters:SCHEDULER"),
    "host_activate": Verb("End the maintenance of hosts", f"{_HERE}.hosts:ACTIVATE"),
    "host_deactivate": Verb("Announce maintenance of hosts: they are used last", f"{_HERE}.hosts:DEACTIVATE"),
    "host_drain": Verb(
        "Take down what runs on hosts, if few enough of each job are there (older than sla_host_drain)",
        f"{_HERE}.drain:DRAIN",
    ),
    "host_status": Verb("Show the maintenance mode of hosts", f"{_HERE}.hosts:STATUS"),
    "increase_quota": Verb("Add to the quota of a role", f"{_HERE}.quota:INCREASE"),
    "list_updates": Verb("List job updates", f"{_HERE}.updates:LIST"),
    "prune_tasks": Verb("Forget ended tasks", f"{_HERE}.tasks:PRUNE"),
    "query": Verb("Print a line for each task that is asked for", f"{_HERE}.tasks:QUERY"),
    "reconcile_tasks": Verb("Have the scheduler ask the engine what became of tasks", f"{_HERE}.tasks:RECONCILE"),
    "scheduler_backup_now": Verb("Have the scheduler save its state into a backup now", f"{_HERE}.storage:BACKUP_NOW"),
    "scheduler_commit_recovery": Verb(
        "Put the backup that is staged in the place of the scheduler's state. The scheduler stops then; the next one "
        "that leads begins with it",
        f"{_HERE}.storage:COMMIT",
    ),
    "scheduler_delete_recovery_tasks": Verb(
        "Take tasks (ID,ID,...) out of the backup that is staged", f"{_HERE}.storage:DELETE_TASKS"
    ),
    "scheduler_list_backups": Verb("List the backups that the scheduler has", f"{_HERE}.storage:LIST_BACKUPS"),
    "scheduler_print_recovery_tasks": Verb(
        "Show the active tasks of the backup that is staged", f"{_HERE}.storage:PRINT_TASKS"
    ),
    "scheduler_snapshot": Verb(
        "Have the scheduler write its whole state into its log, and wait for that", f"{_HERE}.storage:SNAPSHOT"
    ),
    "scheduler_stage_recovery": Verb(
        "Load a backup beside the scheduler's state, to be looked at and committed", f"{_HERE}.storage:STAGE"
    ),
    "scheduler_unload_recovery": Verb("Forget the backup that is staged", f"{_HERE}.storage:UNLOAD"),
    "set_quota": Verb("Set the quota of a role", f"{_HERE}.quota:SET"),
    "sla_host_drain": Verb(
        "Take down what runs on hosts, as promises to the tasks allow, and what is left in the end",
        f"{_HERE}.hosts:SLA_DRAIN",
    ),
    "sla_list_safe_domain": Verb("List the hosts that no job would miss too much", f"{_HERE}.sla:LIST_SAFE"),
    "sla_probe_hosts": Verb("Say how much each job would miss hosts", f"{_HERE}.sla:PROBE"),
}

# As they were called before 0.6 (admin-commands sheet, section 2).
OLDER: dict[str, str] = {
    "end_maintenance_hosts": "host_activate",
    "host_maintenance_status": "host_status",
    "start_maintenance_hosts": "host_deactivate",
}
