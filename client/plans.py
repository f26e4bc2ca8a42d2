"""Dry runs: a call is sent to be planned, and what the scheduler says of it is printed."""

from __future__ import annotations

from aurorad.api.calls import Call
from client.errors import CommandError, Exit
from client.scheduler import Scheduler


def show(scheduler: Scheduler, call: Call, failure: str) -> int:
    """The exit status. Raises `CommandError` with `failure` if the call would be refused."""
    plan = scheduler.plan(call)
    if plan.code != "OK":
        raise CommandError(Exit.COMMAND_FAILURE, "\n".join([failure, *(f"\t{text}" for text in plan.sentences)]))
    for sentence in plan.sentences:
        scheduler.terminal.out(sentence)
    return Exit.OK
