"""Addresses of the pages shown to people (client-internals sheet, section 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aurorad.api.tasks import JobKey

if TYPE_CHECKING:
    from client.scheduler import Scheduler


def scheduler(asked: Scheduler, *parts: str) -> str:
    """The page of the whole cluster, or of a role, an environment, a job."""
    return "/".join([f"{asked.page_url}scheduler", *parts])


def job(asked: Scheduler, key: JobKey) -> str:
    return scheduler(asked, key.role, key.environment, key.name)


def update(asked: Scheduler, key: JobKey, update_id: str) -> str:
    return f"{job(asked, key)}/update/{update_id}"
