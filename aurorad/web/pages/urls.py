"""Addresses of pages (web-ui sheet, section 1.3; observer sheet, section 5)."""

from __future__ import annotations

from urllib.parse import quote

from aurorad.api.tasks import JobKey
from aurorad.api.updates import JobUpdateKey


def role(name: str) -> str:
    return f"/scheduler/{_part(name)}"


def environment(role_name: str, name: str) -> str:
    return f"{role(role_name)}/{_part(name)}"


def job(key: JobKey) -> str:
    return f"{environment(key.role, key.environment)}/{_part(key.name)}"


def instance(key: JobKey, instance_id: int) -> str:
    return f"{job(key)}/{instance_id}"


def task(key: JobKey, task_id: str) -> str:
    return f"{job(key)}/task/{_part(task_id)}"


def update(key: JobUpdateKey) -> str:
    return f"{job(key.job)}/update/{_part(key.id)}"


def observer_task(base: str, task_id: str) -> str:
    return f"{base.rstrip('/')}/task/{_part(task_id)}"


def observer_sandbox(base: str, task_id: str) -> str:
    return f"{base.rstrip('/')}/browse/{_part(task_id)}"


def observer_output(base: str, task_id: str, stream: str) -> str:
    """Where the observer forwards to ``stdout`` or ``stderr`` of the process that matters: one that failed, if any."""
    return f"{base.rstrip('/')}/output/{_part(task_id)}/{stream}"


def _part(text: str) -> str:
    return quote(text, safe="")
