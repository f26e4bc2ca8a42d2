"""What the tables hold, as it is: ``/state`` and ``/structdump`` (http-endpoints sheet, section 6)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import msgspec
import trio
from quart import Blueprint, Response

from aurorad.api import binary, keys
from aurorad.api.enums import SLAVE_ASSIGNED_STATES
from aurorad.api.plain_json import Json, plain
from aurorad.api.struct import ThriftStruct
from aurorad.api.tasks import JobKey, ScheduledTask, TaskConfig
from aurorad.pace import Pace
from aurorad.pages.look import Look
from aurorad.storage.tables import Tables

_USAGE = (
    "Print the internal thrift structure of task or cronjob.",
    "Usage: /structdump/task/{task_id} or /structdump/cron/{role}/{env}/{job}",
)


def dump_endpoints(tables: Tables, look: Look) -> Blueprint:
    blueprint = Blueprint("dumps", __name__)

    @blueprint.get("/state")
    async def state() -> Response:
        shown = await state_json(tables)
        encoded = await trio.to_thread.run_sync(msgspec.json.encode, shown)
        return Response(encoded, content_type="application/json")

    @blueprint.get("/structdump")
    async def usage() -> Response:
        return await look.message(400, "Struct Dump", *_USAGE)

    @blueprint.get("/structdump/task/<task_id>")
    async def task(task_id: str) -> Response:
        return await dump(f"Task {task_id}", tables.task(task_id))

    @blueprint.get("/structdump/cron/<role>/<environment>/<name>")
    async def cron(role: str, environment: str, name: str) -> Response:
        key = JobKey(role, environment, name)
        return await dump(f"Cron job {keys.canonical(key)}", tables.cron_jobs.get(key))

    async def dump(title: str, value: ThriftStruct | None) -> Response:
        shown = None if value is None else msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode()
        return await look.page("structdump.html", 200 if shown is not None else 404, title=title, shown=shown)

    return blueprint


async def state_json(tables: Tables) -> dict[str, Json]:
    """Which configurations there are, by a name that says no more, and which of them run on which agent."""
    tasks: Iterable[ScheduledTask] = tables.all_tasks()
    names: dict[int, str] = {}  # by identity: tasks share their configurations
    configs: dict[str, Json] = {}
    agents: dict[str, list[Json]] = {}
    pace = Pace()
    for task in tasks:
        config = task.assigned_task.task
        name = names.get(id(config))
        if name is None:
            name = names[id(config)] = _name(config)
            configs[name] = plain(config)
        if task.status in SLAVE_ASSIGNED_STATES and task.assigned_task.slave_id is not None:
            agents.setdefault(task.assigned_task.slave_id, []).append(name)
        await pace.breathe()
    return {"taskConfigs": configs, "agents": dict(agents)}


def _name(config: TaskConfig) -> str:
    """The job and a signed number of 32 bits, the same for the same configuration."""
    number = zlib.crc32(binary.encode(config))
    return f"{keys.canonical(config.job)}-{number - (1 << 32) if number >> 31 else number}"
