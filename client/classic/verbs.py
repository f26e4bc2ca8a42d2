"""Every verb of the older dialect, with its options and defaults (client-commands sheet, section 12.3)."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser, Namespace

from client.classic import replacing, showing
from client.classic import verb as v
from client.classic.verb import OldVerb, translated
from client.errors import CommandError, Exit


def _declare_create(parser: ArgumentParser) -> None:
    v.file(parser)
    v.open_browser(parser)
    parser.add_argument(
        "--wait_until", default="PENDING", metavar="STATE", help="PENDING, RUNNING or FINISHED (PENDING)"
    )


def _create(given: Namespace) -> list[object]:
    waiting = ["--wait-until", given.wait_until]
    return ["job", "create", *v.reading(given), *v.opening(given), *waiting, given.key, given.file]


def _declare_kill(parser: ArgumentParser) -> None:
    v.hooks_file(parser)
    v.open_browser(parser)
    v.shards(parser)
    v.number(parser, "--batch_size", None, "instances at a time; all at once without")
    v.number(parser, "--max_total_failures", 0, "batches that may fail")


def _declare_killall(parser: ArgumentParser) -> None:
    v.hooks_file(parser)
    v.open_browser(parser)
    parser.set_defaults(shards=None, batch_size=None, max_total_failures=0)


def _kill(given: Namespace) -> list[object]:
    verb = "killall" if given.shards is None else "kill"
    failures = ["--max-total-failures", given.max_total_failures]
    pace = ["--no-batching"] if given.batch_size is None else ["--batch-size", given.batch_size, *failures]
    return ["job", verb, *v.opening(given), *v.hooking(given), *pace, v.target(given)]


def _declare_restart(parser: ArgumentParser) -> None:
    v.hooks_file(parser)
    v.open_browser(parser)
    v.shards(parser)
    v.number(parser, "--batch_size", 1, "instances at a time")
    v.number(parser, "--max_per_shard_failures", 0, "failures of one instance to put up with")
    v.number(parser, "--max_total_failures", 0, "instances that may fail")
    v.number(parser, "--restart_threshold", 60, "seconds in which an instance must be RUNNING")
    v.number(parser, "--watch_secs", 30, "seconds that it must stay so")
    v.number(parser, "--updater_health_check_interval_seconds", 3, "seconds between looks")


def _restart(given: Namespace) -> list[object]:
    return [
        *("job", "restart", *v.opening(given), *v.hooking(given)),
        *("--batch-size", given.batch_size),
        *("--max-per-instance-failures", given.max_per_shard_failures),
        *("--max-total-failures", given.max_total_failures),
        *("--restart-threshold", given.restart_threshold),
        *("--watch-secs", given.watch_secs),
        *("--healthcheck-interval-seconds", given.updater_health_check_interval_seconds),
        v.target(given),
    ]


def _declare_cancel(parser: ArgumentParser) -> None:
    v.hooks_file(parser)


def _cancel(given: Namespace) -> list[object]:
    return ["update", "abort", given.key]


def _declare_run(parser: ArgumentParser) -> None:
    v.number(parser, "-t", 1, "tasks at a time")
    v.number(parser, "--threads", None, "the same")
    _declare_login(parser)
    parser.add_argument("command", nargs=REMAINDER, metavar="CMD", help="what to run in each sandbox")


def _declare_login(parser: ArgumentParser) -> None:
    parser.add_argument("--user", help="who to log in as (the job's role)")
    parser.add_argument("-e", "--executor_sandbox", action="store_true", help="in the executor's folder instead")
    v.key(parser)


def _run(given: Namespace) -> list[object]:
    text = _command(given)
    if not text:
        raise CommandError(Exit.FATAL, "Incorrect parameters for run: a command was expected after the job")
    return ["task", "run", "--threads", given.threads or given.t, *_login(given), given.key, "--", text]


def _declare_ssh(parser: ArgumentParser) -> None:
    _declare_login(parser)
    parser.add_argument("shard", nargs="?", metavar="SHARD", help="the instance")
    parser.add_argument(
        "-L", action="append", default=[], metavar="PORT:NAME", help="a port here that leads to a named one"
    )
    parser.add_argument("command", nargs=REMAINDER, metavar="CMD", help="what to run instead of a shell")


def _ssh(given: Namespace) -> list[object]:
    if given.shard is None:
        raise CommandError(Exit.FATAL, "Shard is required")
    if not (given.shard.isascii() and given.shard.isdecimal()):
        raise CommandError(Exit.FATAL, "Shard must be an integer")
    tunnels = [word for tunnel in given.L for word in ("-L", tunnel)]
    text = _command(given)
    command = ["--command", text] if text else []
    return ["task", "ssh", *_login(given), *tunnels, *command, f"{given.key}/{given.shard}"]


def _login(given: Namespace) -> list[object]:
    user = ["--ssh-user", given.user] if given.user is not None else []
    return [*user, *(["--executor-sandbox"] if given.executor_sandbox else [])]


def _command(given: Namespace) -> str:
    words = given.command[1:] if given.command[:1] == ["--"] else given.command
    return " ".join(words)


def _declare_open(parser: ArgumentParser) -> None:
    parser.add_argument("page", metavar="CLUSTER[/ROLE[/ENV/JOB]]", help="what to look at")


def _declare_inspect(parser: ArgumentParser) -> None:
    v.file(parser)
    v.ignored(parser, "--local", action="store_true")
    parser.add_argument("--raw", action="store_true", help="print what would be sent to the scheduler")


def _inspect(given: Namespace) -> list[object]:
    raw = ["--raw"] if given.raw else []
    return ["job", "inspect", *v.reading(given), *raw, given.key, given.file]


def _declare_diff(parser: ArgumentParser) -> None:
    v.file(parser)
    parser.add_argument("--from", dest="source", metavar="CLUSTER/ROLE/ENV/NAME", help="the job to compare with")


def _diff(given: Namespace) -> list[object]:
    source = ["--from", given.source] if given.source is not None else []
    return ["job", "diff", *v.reading(given), *source, given.key, given.file]


def _declare_start_cron(parser: ArgumentParser) -> None:
    v.hooks_file(parser)
    v.open_browser(parser)


def _start_cron(given: Namespace) -> list[object]:
    return ["cron", "start", *v.opening(given), *v.hooking(given), given.key]


VERBS: dict[str, OldVerb] = {
    "cancel_update": translated("Stop an update where it is", _declare_cancel, _cancel),
    "create": translated("Create a job", _declare_create, _create),
    "diff": translated("Compare a job file with what runs", _declare_diff, _diff, prints=True),
    "get_quota": OldVerb("Show the quota of a role", showing.declare_quota, showing.quota),
    "inspect": translated("Show a job as its file defines it", _declare_inspect, _inspect, prints=True),
    "kill": translated("Kill a job, or some instances of it", _declare_kill, _kill),
    "killall": translated("Kill a job", _declare_killall, _kill),
    "list_jobs": OldVerb("List the jobs of a role", showing.declare_jobs, showing.jobs, prints=True),
    "open": translated(
        "Open a page of the scheduler in a browser",
        _declare_open,
        lambda given: ["job", "open", given.page],
        prints=True,
    ),
    "restart": translated("Restart a job, a few instances at a time", _declare_restart, _restart),
    "run": translated("Run a command where tasks of a job run", _declare_run, _run, prints=True),
    "ssh": translated("Log in where a task runs", _declare_ssh, _ssh, prints=True),
    "start_cron": translated("Run a scheduled job now", _declare_start_cron, _start_cron),
    "status": OldVerb("Show the tasks of a job", showing.declare_status, showing.status),
    "update": OldVerb("Change a job to what its file says, and wait for that", replacing.declare, replacing.update),
}
