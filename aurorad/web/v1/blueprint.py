"""Serves the routes of the JSON API."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import trio
from quart import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from aurorad.api import results
from aurorad.api.calls import Call
from aurorad.rules.permissions import Caller
from aurorad.web.v1 import cluster, jobs, openapi, operations, problems, tasks, updates
from aurorad.web.v1.problems import Problem
from aurorad.web.v1.reading import Asked, read_body, read_parameters
from aurorad.web.v1.route import Route, Shown, World

ROUTES: tuple[Route, ...] = (*jobs.ROUTES, *tasks.ROUTES, *updates.ROUTES, *cluster.ROUTES, *operations.ROUTES)

_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS")
_BIG_BYTES = 64 << 10
_LONG_PAGE = 50
"""Items from which on their encoding takes milliseconds."""

View = Callable[..., Awaitable[Response]]
Handle = Callable[[Call, Caller], Awaitable[results.Response]]


def json_api(handle: Handle, caller: Callable[[], Caller], world: World) -> Blueprint:
    """``/v1`` and all below it. `handle` answers a call; `caller` says who makes the present request."""
    blueprint = Blueprint("v1", __name__)
    server = _Server(handle, caller, world)
    described = msgspec.json.encode(openapi.document(ROUTES))
    for route in ROUTES:
        rule = route.path.replace("{", "<").replace("}", ">")
        _add(blueprint, rule, openapi.operation_id(route), server.view(route), [route.method])

    async def index() -> Response:
        resources = sorted({route.path for route in ROUTES if "{" not in route.path and route.method == "GET"})
        return await _answer(Shown({"openapi": "/v1/openapi.json", "resources": resources}))

    async def document() -> Response:
        return await _conditional(described)

    _add(blueprint, "/v1", "index", index, ["GET"])
    _add(blueprint, "/v1/openapi.json", "openapi", document, ["GET"])
    _add(blueprint, "/v1/<path:rest>", "nothing", _nothing, _METHODS)
    for path in {"/v1", "/v1/openapi.json", *(route.path for route in ROUTES)}:
        there = {route.method for route in ROUTES if route.path == path} or {"GET"}
        rule = path.replace("{", "<").replace("}", ">")
        others = [method for method in _METHODS if method not in there]
        _add(blueprint, rule, f"others {path}".replace(".", "-"), _others(there), others)

    @blueprint.errorhandler(Problem)
    async def problem(error: Problem) -> Response:
        return error.response()

    @blueprint.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        return Problem(error.code or 500, error.description or error.name).response()

    return blueprint


class _Server:
    def __init__(self, handle: Handle, caller: Callable[[], Caller], world: World) -> None:
        self._handle = handle
        self._caller = caller
        self._world = world

    def view(self, route: Route) -> View:
        async def view(**path: str) -> Response:
            return await _answer(await self._shown(route, await _asked(route, path)))

        return view

    async def _shown(self, route: Route, asked: Asked) -> Shown:
        tables = self._world.tables
        call = route.call(asked, tables)
        assert type(call) in route.makes
        missing, taken = route.missing(asked, tables), route.taken(asked, tables)
        answer = await self._handle(call, self._caller())
        refusal = problems.refusal(answer)
        decided = refusal is None or refusal.status == 422
        if missing is not None and decided:
            raise Problem(404, missing)
        if refusal is not None:
            raise Problem(409, refusal.detail, refusal.code) if taken is not None and decided else refusal
        return await route.show(asked, answer, self._world)


async def _asked(route: Route, path: dict[str, str]) -> Asked:
    """Raises `Problem` for what is not as declared."""
    values = read_parameters(route.parameters, path, request.args)
    data = await request.get_data()
    assert isinstance(data, bytes)
    if route.body is None:
        return Asked(values, None)
    content_type = request.headers.get("Content-Type", "")
    if len(data) > _BIG_BYTES:
        return Asked(values, await trio.to_thread.run_sync(read_body, route.body, content_type, data))
    return Asked(values, read_body(route.body, content_type, data))


async def _answer(shown: Shown) -> Response:
    value = shown.value
    items = value.get("items") if isinstance(value, dict) else None
    if isinstance(items, list) and len(items) > _LONG_PAGE:
        encoded = await trio.to_thread.run_sync(msgspec.json.encode, value)
    else:
        encoded = msgspec.json.encode(value)
    if request.method in ("GET", "HEAD"):
        return await _conditional(encoded)
    answer = Response(encoded, shown.status, content_type="application/json")
    if shown.location is not None:
        answer.headers["Location"] = shown.location
    return answer


async def _conditional(encoded: bytes) -> Response:
    """304 for who has exactly this already."""
    etag = f'W/"{hashlib.blake2b(encoded, digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if etag in [known.strip() for known in request.headers.get("If-None-Match", "").split(",")]:
        return Response(b"", 304, headers=headers)
    return Response(encoded, content_type="application/json", headers=headers)


async def _nothing(rest: str) -> Response:
    raise Problem(404, f"There is nothing at /v1/{rest}: /v1/openapi.json says what there is.")


def _others(methods: set[str]) -> View:
    """What a path answers to methods that it does not have, and to OPTIONS."""
    allowed = ", ".join(sorted({*methods, *(("HEAD",) if "GET" in methods else ()), "OPTIONS"}))

    async def view(**path: str) -> Response:
        if request.method == "OPTIONS":
            return Response(b"", 204, headers={"Allow": allowed})
        raise Problem(405, f"{request.method} is not for this path: {allowed} can be used.", headers={"Allow": allowed})

    return view


def _add(blueprint: Blueprint, rule: str, name: str, view: View, methods: Iterable[str]) -> None:
    blueprint.add_url_rule(
        rule, name, view, methods=list(methods), strict_slashes=False, provide_automatic_options=False
    )
