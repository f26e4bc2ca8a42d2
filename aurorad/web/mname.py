"""``/mname``: from a task's name to where it serves HTTP now (http-endpoints sheet, section 6).

307 keeps method and body, so that a client that changes something at the task may go through here.
"""

from __future__ import annotations

from urllib.parse import quote

from quart import Blueprint, Response, request

from aurorad.api import keys
from aurorad.api.enums import ACTIVE_STATES, ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobKey
from aurorad.storage.tables import Tables

PORTS = ("health", "http", "HTTP", "web", "admin")
"""Names of ports that serve HTTP, the first one that a task has."""

_METHODS = ["GET", "PUT", "POST", "DELETE"]
_MOST_DIGITS = 10  # of an instance id
_USAGE = """\
<!doctype html>
<html lang="en"><title>Aurora mname</title>
<p>HTTP redirector from the canonical name of a task to its current HTTP endpoint.</p>
<p>Forwards GET, PUT, POST and DELETE requests using HTTP status code 307. This allows compliant clients to seamlessly
perform re-directed mutations.</p>
<p>Usage: /mname/{role}/{env}/{job}/{instance}</p></html>
"""


def mname_endpoints(tables: Tables) -> Blueprint:
    blueprint = Blueprint("mname", __name__)

    @blueprint.get("/mname", strict_slashes=False)
    async def usage() -> Response:
        return Response(_USAGE, 400, content_type="text/html; charset=utf-8")

    @blueprint.route("/mname/<role>/<environment>/<name>/<instance>", defaults={"path": ""}, methods=_METHODS)
    @blueprint.route("/mname/<role>/<environment>/<name>/<instance>/<path:path>", methods=_METHODS)
    async def forward(role: str, environment: str, name: str, instance: str, path: str) -> Response:
        await request.get_data()  # who is still sending would not read the answer
        job = JobKey(role, environment, name)
        if not keys.is_valid(job):
            return _text("No such live instance found.")
        return _forward(tables, job, instance, path)

    return blueprint


def _forward(tables: Tables, job: JobKey, instance: str, path: str) -> Response:
    if not instance.isascii() or not instance.isdecimal() or len(instance) > _MOST_DIGITS:
        return _text(f"{instance!r} is no instance: a number such as 0 was expected.")
    found = tables.instance_tasks(job, (int(instance),), ACTIVE_STATES)
    if not found:
        return _text("No such live instance found.")
    task = found[0]
    if task.status is not ScheduleStatus.RUNNING:
        return _text(f"The selected instance is currently in state {task.status.name}")
    place = _place(task.assigned_task)
    if place is None:
        return _text("The task does not have a registered http port.")
    query = request.query_string.decode("ascii", "replace")
    target = f"http://{place}/{quote(path)}" + (f"?{query}" if query else "")
    return Response("", 307, headers={"Location": target, "Cache-Control": "no-store"})


def _place(task: AssignedTask) -> str | None:
    """Host and port."""
    port = next((task.assigned_ports[name] for name in PORTS if name in task.assigned_ports), None)
    if port is None or task.slave_host is None:
        return None
    return f"[{task.slave_host}]:{port}" if ":" in task.slave_host else f"{task.slave_host}:{port}"


def _text(words: str) -> Response:
    return Response(words, 404, content_type="text/plain; charset=utf-8")
