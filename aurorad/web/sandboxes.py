"""``/sandboxes``: where the agents of a scheduler that has its own keep the sandboxes of tasks, for `aurora task ssh`.

The keys are those that clusters.json has for clusters whose agents are elsewhere.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from quart import Blueprint, Response


def sandbox_endpoint(agent: Path | None) -> Blueprint:
    """`agent` is the folder of the local agent; None if agents are none of this scheduler's business."""
    blueprint = Blueprint("sandboxes", __name__)

    @blueprint.route("/sandboxes")
    async def sandboxes() -> Response:
        if agent is None:
            text = "The agents of this cluster are not this scheduler's: clusters.json knows their slave_root.\n"
            return Response(text, 404, mimetype="text/plain")
        told = {"slave_root": str(agent), "slave_run_directory": "latest"}
        return Response(msgspec.json.encode(told), content_type="application/json")

    return blueprint
