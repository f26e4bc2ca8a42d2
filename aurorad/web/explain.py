"""``/explain`` and ``/plan``: why instances wait, and what a call would do, as JSON. Neither changes anything.

``GET /explain?job=role/environment/name``, with ``&instance=3`` for one of them. ``POST /plan`` takes the very message
that would go to ``/api``, in either encoding; job files are evaluated by the client alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from quart import Blueprint, Response, request

from aurorad.api import keys
from aurorad.api.calls import ApplicationException, Call
from aurorad.api.tasks import JobKey
from aurorad.api.wire import WireError
from aurorad.rules.permissions import Caller
from aurorad.scheduler.explaining import JobExplanation
from aurorad.scheduler.rpc.plans import Plan
from aurorad.web.thrift import received_call

_MOST_DIGITS = 10  # of an instance id


def explain_endpoints(
    explain: Callable[[JobKey, frozenset[int]], Awaitable[JobExplanation]],
    plan: Callable[[Call, str], Awaitable[Plan]],
    exists: Callable[[JobKey], bool],
    caller: Callable[[], Caller],
) -> Blueprint:
    """`explain` is asked about jobs that `exists` knows; `caller` says who makes the present request."""
    blueprint = Blueprint("explain", __name__)

    @blueprint.route("/explain")
    async def explained() -> Response:
        try:
            job, instances = keys.parse(request.args.get("job", "")), _instances(request.args.getlist("instance"))
        except ValueError as error:
            return _text(f"{error}.", 400)
        if not exists(job):
            return _text(f"There is no job {keys.canonical(job)}.", 404)
        return _json(await explain(job, instances))

    @blueprint.route("/plan", methods=["POST"])
    async def planned() -> Response:
        try:
            call = await received_call()
        except WireError as error:
            return _text(f"Malformed request body: {error}", 400)
        if isinstance(call, ApplicationException):
            return _text(call.message or "Not a call.", 400)
        try:
            return _json(await plan(call, caller().name))
        except ValueError as error:
            return _text(f"{error}.", 400)

    return blueprint


def _instances(given: list[str]) -> frozenset[int]:
    for text in given:
        if not text.isascii() or not text.isdecimal() or len(text) > _MOST_DIGITS:
            raise ValueError(f"{text!r} is no instance: a number such as 0 was expected")
    return frozenset(map(int, given))


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), content_type="application/json")


def _text(text: str, status: int) -> Response:
    return Response(f"{text}\n", status, mimetype="text/plain")
