"""`aurora job inspect` (client-commands sheet, section 5.3). Works without a scheduler."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from aurorad.api import text
from aurorad.jobfile.values import Job, Process
from client import config, options
from client.command import Command
from client.errors import Exit
from client.session import Session


def _declare(parser: ArgumentParser) -> None:
    options.reading(parser)
    options.write_json(parser)
    parser.add_argument("--raw", action="store_true", help="print what would be sent to the scheduler")
    options.job_key(parser)
    options.config_file(parser)


def _run(given: Namespace, session: Session) -> int:
    loaded = config.with_tier(config.load(given, given.job, session), config.DEFAULT_TIERS, session)
    if given.raw:
        session.terminal.out(text.render(loaded.sent))
    elif given.write_json:
        session.terminal.out(json.dumps(loaded.config.source.get(), indent=2, sort_keys=True))
    else:
        session.terminal.out("\n".join(_lines(loaded.config.job)))
    return Exit.OK


def _lines(job: Job) -> Iterator[str]:
    yield "Job level information"
    yield f"  name:       '{job.name}'"
    yield f"  role:       '{job.role}'"
    if job.contact is not None:
        yield f"  contact:    '{job.contact}'"
    yield f"  cluster:    '{job.cluster}'"
    yield f"  instances:  '{job.instances}'"
    if job.cron_schedule is not None:
        yield "  cron:"
        yield f"    schedule: '{job.cron_schedule}'"
        yield f"    policy:   '{job.cron_collision_policy}'"
    if job.constraints:
        yield "  constraints:"
        yield from (f"    '{name}': '{value}'" for name, value in sorted(job.constraints.items()))
    if job.partition_policy is not None:
        yield "  partition_policy:"
        yield f"    reschedule: {job.partition_policy.reschedule}"
        yield f"    delay_secs: '{job.partition_policy.delay_secs}'"
    yield f"  service:    {job.service}"
    yield f"  production: {job.production}"
    yield ""
    yield "Task level information"
    yield f"  name: '{job.task.name}'"
    if job.task.constraints:
        yield "  constraints:"
        yield from (f"    {' < '.join(constraint.order)}" for constraint in job.task.constraints)
    yield ""
    for process in job.task.processes:
        yield from _process_lines(process)


def _process_lines(process: Process) -> Iterator[str]:
    yield f"Process '{process.name}':"
    flags = {"daemon": process.daemon, "ephemeral": process.ephemeral, "final": process.final}
    yield from (f"  {name}" for name, on in flags.items() if on)
    yield "  cmdline:"
    yield from (f"    {line}" for line in process.cmdline.splitlines())
    yield ""


INSPECT = Command(_declare, _run)
