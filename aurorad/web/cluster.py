"""The cluster as JSON, for scripts: offers, pending tasks, quotas, tiers, maintenance (http-endpoints sheet, 6)."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable

import msgspec
from quart import Blueprint, Response, request

from aurorad.api import keys
from aurorad.api.enums import SLAVE_ASSIGNED_STATES, MaintenanceMode
from aurorad.api.tasks import JobConfiguration, JobKey, ResourceAggregate, TaskQuery
from aurorad.engine.base import Offer, Resource
from aurorad.pace import gently
from aurorad.rules import cron, quota
from aurorad.rules.cron import BadSchedule
from aurorad.rules.tiers import Tiers
from aurorad.scheduler.groups import PendingGroup
from aurorad.storage.tables import Tables

Json = dict[str, object]


def cluster_endpoints(
    tables: Tables,
    offers: Callable[[], Iterable[Offer]],
    pending: Callable[[], Iterable[PendingGroup]],
    tiers: Tiers,
) -> Blueprint:
    """`offers` are those held now, `pending` the groups of tasks that wait for one."""
    blueprint = Blueprint("cluster", __name__)

    def add(path: str, view: Callable[[], Awaitable[object]]) -> None:
        async def answer() -> Response:
            return Response(msgspec.json.encode(await view()), content_type="application/json")

        blueprint.add_url_rule(path, path, answer)

    async def offers_view() -> object:
        return await gently(lambda offer: offer_json(offer, tables.framework_id), list(offers()))

    async def pending_view() -> object:
        return await gently(_group_json, list(pending()))

    async def quotas_view() -> object:
        role = request.args.get("role")
        wanted = tables.quotas if role is None else {role: tables.quotas[role]} if role in tables.quotas else {}
        return {name: _quota_json(granted) for name, granted in wanted.items()}

    async def tiers_view() -> object:
        return {"default": tiers.default, "tiers": tiers.by_name}

    async def maintenance_view() -> object:
        return maintenance_json(tables)

    async def cron_view() -> object:
        return {"scheduled": dict(await gently(_schedule_json, list(tables.cron_jobs.items())))}

    add("/offers", offers_view)
    add("/pendingtasks", pending_view)
    add("/quotas", quotas_view)
    add("/tiers", tiers_view)
    add("/maintenance", maintenance_view)
    add("/cron", cron_view)
    return blueprint


def offer_json(offer: Offer, framework_id: str | None) -> Json:
    """As Mesos' v1 `Offer` message; a text attribute has one value, so that one of ours may become several."""
    shown: Json = {
        "id": {"value": offer.id},
        "framework_id": {"value": framework_id or ""},
        "agent_id": {"value": offer.agent_id},
        "hostname": offer.hostname,
        "resources": [_resource_json(resource) for resource in offer.resources],
        "attributes": [
            {"name": attribute.name, "type": "TEXT", "text": {"value": value}}
            for attribute in sorted(offer.attributes, key=lambda attribute: attribute.name)
            for value in sorted(attribute.values)
        ],
        "executor_ids": [],
    }
    if offer.unavailability_start_ms is not None:
        shown["unavailability"] = {"start": {"nanoseconds": offer.unavailability_start_ms * 1_000_000}}
    return shown


def _resource_json(resource: Resource) -> Json:
    shown: Json = {"name": resource.name}
    if resource.scalar is not None:
        shown |= {"type": "SCALAR", "scalar": {"value": resource.scalar}}
    else:
        shown |= {"type": "RANGES", "ranges": {"range": [{"begin": a, "end": b} for a, b in resource.ranges]}}
    shown |= {"role": resource.role, "reservations": []}
    if resource.revocable:
        shown["revocable"] = {}
    return shown


def _schedule_json(item: tuple[JobKey, JobConfiguration]) -> tuple[str, str]:
    """The job and its schedule in canonical form; as it is, if another version has written it and it says nothing."""
    key, job = item
    schedule = job.cron_schedule or ""
    with contextlib.suppress(BadSchedule):
        schedule = str(cron.parse(schedule))
    return keys.canonical(key), schedule


def _group_json(group: PendingGroup) -> Json:
    return {
        "name": group.name,
        "taskIds": group.task_ids,
        "penaltyMs": group.penalty_ms,
        "reason": f"[{', '.join(group.reasons)}]",
    }


def _quota_json(granted: ResourceAggregate) -> Json:
    amounts = quota.total(granted.resources)
    return {"cpu_cores": amounts.cpus, "ram_mb": amounts.ram_mb, "disk_mb": amounts.disk_mb}


def maintenance_json(tables: Tables) -> Json:
    """The hosts by mode; those that are being drained with their tasks, as long as they have any."""
    hosts: dict[MaintenanceMode, list[str]] = {mode: [] for mode in MaintenanceMode}
    for name, host in sorted(tables.hosts.items()):
        hosts[host.mode or MaintenanceMode.NONE].append(name)
    tasks = {
        name: [
            task.assigned_task.task_id
            for task in tables.tasks(TaskQuery(slave_hosts=frozenset({name}), statuses=SLAVE_ASSIGNED_STATES))
        ]
        for name in hosts[MaintenanceMode.DRAINING]
    }
    return {
        "DRAINED": hosts[MaintenanceMode.DRAINED],
        "SCHEDULED": hosts[MaintenanceMode.SCHEDULED],
        "DRAINING": {name: ids for name, ids in tasks.items() if ids},
    }
