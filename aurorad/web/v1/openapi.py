"""The OpenAPI 3.1 document of the JSON API, made from the declarations of routes and of the contract."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from aurorad import __version__
from aurorad.api.calls import AdminCall, Call, ReadOnlyCall
from aurorad.rules.authorization import ADMIN, MANAGER
from aurorad.web.schemas import REF, Schemas
from aurorad.web.v1 import problems
from aurorad.web.v1.reading import Body, Json, Parameter
from aurorad.web.v1.route import PageOf, Route

_PROBLEM: Json = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence that says what, where, and what was expected."},
        "code": {"type": "string", "description": "The response code of the call, if one was made."},
    },
}
_TEXT: Json = {"text/plain": {"schema": {"type": "string"}}}
_REFUSALS = {
    400: "The request is not as this document says.",
    404: "There is no such thing.",
    409: "There is one already, or the job is being updated.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The rules refuse it; `code` and `detail` say why.",
    503: "Not now: the scheduler does not lead, or its disk is full. Try again.",
}
_INFO = """\
Resources of an Aurora scheduler. Each request is one call of the thrift API, with its checks and permissions; `limit`
and `cursor` go through lists; errors are problem details (RFC 9457): 400 for what is not as this document says, 422 for
what the rules refuse. What is unset is left out; enums are their names."""


def document(routes: Iterable[Route]) -> Json:
    """The document, for a JSON encoder."""
    schemas = Schemas()
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aurora scheduler", "version": __version__, "description": _INFO},
        "paths": paths,
        "components": {"schemas": {"Problem": _PROBLEM, **schemas.all()}},
    }


def _operation(route: Route, schemas: Schemas) -> Json:
    operation: Json = {
        "summary": route.summary,
        "description": " ".join(map(_needs, route.makes)),
        "operationId": operation_id(route),
        "tags": [route.path.split("/")[2]],
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        schema = _body(route.body, schemas)
        operation["requestBody"] = {
            "required": route.body.required,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _needs(call: type[Call]) -> str:
    """Which call is made, and which permission that takes."""
    method = call.method()
    if issubclass(call, ReadOnlyCall):
        return f"Makes the call {method}, which only reads."
    if issubclass(call, AdminCall):
        return f"Makes the call {method}, which needs the permission {ADMIN}:{method}."
    return f"Makes the call {method}, which needs the permission {MANAGER}:{method}:ROLE:ENVIRONMENT:NAME."


def _body(body: Body, schemas: Schemas) -> Json:
    return schemas.members(body.cls, body.leave_out) if body.leave_out else schemas.of(body.cls)


def operation_id(route: Route) -> str:
    """``get_jobs_role_environment_name``."""
    return "_".join((route.method.lower(), *re.findall(r"\w+", route.path.removeprefix("/v1/"))))


def _parameter(parameter: Parameter) -> Json:
    schema: Json = {"type": "array", "items": parameter.schema} if parameter.many else parameter.schema
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "description": parameter.description,
        "required": parameter.required,
        "schema": schema,
    }


def _responses(route: Route, schemas: Schemas) -> Json:
    responses: Json = {}
    for status, answer in route.answers.items():
        schema = _page(schemas.of(answer.cls)) if isinstance(answer, PageOf) else schemas.of(answer.cls)
        described: Json = {"description": route.summary, "content": {"application/json": {"schema": schema}}}
        if status == 201:
            described["headers"] = {"Location": {"description": "Where it is.", "schema": {"type": "string"}}}
        responses[str(status)] = described
    if route.method == "GET":
        responses["304"] = {"description": "It is as it was when the ETag in If-None-Match was given."}
    responses["307"] = {"description": "Another scheduler leads: ask there."}
    responses["401"] = {"description": "Who asks for this must say who it is.", "content": _TEXT}
    responses["403"] = {"description": "Who asks may not do this.", "content": {**_problem(), **_TEXT}}
    for status in statuses(route):
        responses[str(status)] = {"description": _REFUSALS[status], "content": _problem()}
    return responses


def statuses(route: Route) -> Sequence[int]:
    """With which a route may refuse."""
    found = [400, 422, 503]
    if route.body is not None:
        found += [413, 415]
    if route.method != "GET":
        found.append(409)
    if "{" in route.path:
        found.append(404)
    return sorted(found)


def _problem() -> Json:
    return {problems.CONTENT_TYPE: {"schema": {"$ref": f"{REF}Problem"}}}


def _page(item: Json) -> Json:
    next_: Json = {"type": "string", "description": "The cursor of the next page; absent on the last one."}
    return {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": item}, "next": next_},
        "additionalProperties": False,
    }
