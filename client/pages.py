"""Addresses of the pages shown to people (client-internals sheet, section 15)."""

from __future__ import annotations

from aurorad.api.tasks import JobKey
from client.clusters import Cluster


def scheduler(cluster: Cluster, *parts: str) -> str:
    """The page of the whole cluster, or of a role, an environment, a job."""
    return "/".join([f"{cluster.page_url}scheduler", *parts])


def job(cluster: Cluster, key: JobKey) -> str:
    return scheduler(cluster, key.role, key.environment, key.name)


def update(cluster: Cluster, key: JobKey, update_id: str) -> str:
    return f"{job(cluster, key)}/update/{update_id}"
