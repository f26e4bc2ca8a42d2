"""Every noun and verb, with where its code is: only the verb that runs is imported (client-commands sheet)."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.command import Command


@dataclasses.dataclass(frozen=True)
class Verb:
    summary: str
    place: str
    """``module:name`` of what carries it out."""

    def load(self) -> Any:
        """What stands at `place`: a `Command`, or an `AdminCommand` in the table of those. Imports its module."""
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)


@dataclasses.dataclass(frozen=True)
class Noun:
    summary: str
    verbs: dict[str, Verb]


def command_of(verb: Verb) -> Command:
    """Imports the verb's module."""
    command: Command = verb.load()
    return command


NOUNS: dict[str, Noun] = {
    "job": Noun(
        "Work with jobs",
        {
            "add": Verb("Add instances to a job", "client.verbs.job_add:ADD"),
            "create": Verb("Create a job", "client.verbs.job_create:CREATE"),
            "diff": Verb("Compare a job file with what runs", "client.verbs.job_diff:DIFF"),
            "explain": Verb("Say why instances of a job wait", "client.verbs.job_explain:EXPLAIN"),
            "inspect": Verb("Show a job as its file defines it", "client.verbs.job_inspect:INSPECT"),
            "kill": Verb("Kill some instances of a job", "client.verbs.job_kill:KILL"),
            "killall": Verb("Kill all instances of a job", "client.verbs.job_kill:KILLALL"),
            "list": Verb("List jobs", "client.verbs.job_list:LIST"),
            "open": Verb("Open a page of the scheduler in a browser", "client.verbs.job_open:OPEN"),
            "restart": Verb("Restart instances of a job, a few at a time", "client.verbs.job_restart:RESTART"),
            "status": Verb("Show the tasks of jobs", "client.verbs.job_status:STATUS"),
        },
    ),
    "update": Noun(
        "Change running jobs, a few instances at a time",
        {
            "start": Verb("Start an update", "client.verbs.update_start:START"),
            "info": Verb("Show one update", "client.verbs.update_info:INFO"),
            "list": Verb("List updates", "client.verbs.update_list:LIST"),
            "wait": Verb("Wait until an update ends", "client.verbs.update_wait:WAIT"),
            "pause": Verb("Pause an update", "client.verbs.update_control:PAUSE"),
            "resume": Verb("Go on with a paused update", "client.verbs.update_control:RESUME"),
            "abort": Verb("Stop an update where it is", "client.verbs.update_control:ABORT"),
            "rollback": Verb("Go back to how the job was", "client.verbs.update_control:ROLLBACK"),
        },
    ),
    "cron": Noun(
        "Work with jobs that run at set times",
        {
            "schedule": Verb("Schedule a job, or change its schedule", "client.verbs.cron:SCHEDULE"),
            "deschedule": Verb("Remove a job's schedule", "client.verbs.cron:DESCHEDULE"),
            "start": Verb("Run a scheduled job now", "client.verbs.cron:START"),
            "show": Verb("Show a job's schedule", "client.verbs.cron:SHOW"),
        },
    ),
    "task": Noun(
        "Work with the machines that tasks run on",
        {
            "run": Verb("Run a command where tasks of a job run", "client.verbs.task_run:RUN"),
            "ssh": Verb("Log in where a task runs", "client.verbs.task_ssh:SSH"),
            "scp": Verb("Copy files from or to tasks", "client.verbs.task_scp:SCP"),
        },
    ),
    "quota": Noun("Look at quotas", {"get": Verb("Show the quota of a role", "client.verbs.quota_get:GET")}),
    "config": Noun("Work with job files", {"list": Verb("List the jobs of a file", "client.verbs.config_list:LIST")}),
    "sla": Noun(
        "Look at uptimes",
        {
            "get-task-up-count": Verb("Show which share of a job is up for how long", "client.verbs.sla:UP_COUNT"),
            "get-job-uptime": Verb("Show which uptime shares of a job reach", "client.verbs.sla:UPTIME"),
        },
    ),
}

# What commands were called between the two dialects (client-commands sheet, section 12.4), and what they are now.
OLDER_SPELLINGS: dict[tuple[str, str], tuple[str, ...]] = {
    ("job", "update"): ("update", "start", "--wait"),
    ("job", "cancel-update"): ("update", "abort"),
    ("beta-update", "status"): ("update", "info"),
    **{("beta-update", verb): ("update", verb) for verb in ("start", "pause", "resume", "abort", "list")},
}

# The verb-only dialect of Aurora 0.5, as the commands that do the same now.
OLD_VERBS: dict[str, str] = {
    "cancel_update": "update abort",
    "create": "job create",
    "diff": "job diff",
    "get_quota": "quota get",
    "inspect": "job inspect",
    "kill": "job killall",
    "killall": "job killall",
    "list_jobs": "job list",
    "open": "job open",
    "restart": "job restart",
    "run": "task run",
    "ssh": "task ssh",
    "start_cron": "cron start",
    "status": "job status",
    "update": "update start --wait",
}
