"""``/apiclient``: a page that lets a person try any call of the API.

Its forms are made from the declarations of the calls; what they send goes to ``/apibeta``, as JSON, with the checks and
permissions of every call. Pages of other sites cannot use it (`pages/guard.py`).
"""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, redirect
from werkzeug import Response as AnyResponse

from aurorad.api.calls import CALLS, SERVICES, ReadOnlyCall
from aurorad.pages.look import Look
from aurorad.web.schemas import Json, Schemas


def api_client(look: Look) -> Blueprint:
    blueprint = Blueprint("apiclient", __name__)
    described = msgspec.json.encode(described_calls())

    @blueprint.get("/apiclient", strict_slashes=False)
    async def page() -> Response:
        return await look.page("apiclient.html")

    @blueprint.get("/apiclient/api.html")
    async def older() -> AnyResponse:
        return redirect("/apiclient", 302)

    @blueprint.get("/apiclient/calls.json")
    async def calls() -> Response:
        return Response(described, content_type="application/json", headers={"Cache-Control": "no-cache"})

    return blueprint


def described_calls() -> Json:
    """All calls by service, with the JSON Schema of their arguments."""
    schemas = Schemas()
    services = [
        {
            "name": name,
            "calls": [
                {
                    "method": method,
                    "reads": issubclass(call, ReadOnlyCall),
                    "arguments": schemas.members(call, frozenset()),
                }
                for method, call in CALLS.items()
                if issubclass(call, base)
            ],
        }
        for name, base in SERVICES
    ]
    return {"services": services, "schemas": schemas.all()}
