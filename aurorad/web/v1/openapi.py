"""The OpenAPI 3.1 document of the JSON API, made from the declarations of routes and of the contract."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import cast

import msgspec

from aurorad import __version__
from aurorad.api.struct import Base, EnumOf, ListOf, MapOf, SetOf, StructOf, ThriftStruct, ThriftUnion, Type, fields_of
from aurorad.web.v1 import problems
from aurorad.web.v1.reading import Body, Json, Parameter
from aurorad.web.v1.route import PageOf, Route

_REF = "#/components/schemas/"
_LARGEST = 1.7976931348623157e308
_BASES: dict[str, Json] = {
    "bool": {"type": "boolean"},
    "i32": {"type": "integer", "format": "int32", "minimum": -(1 << 31), "maximum": (1 << 31) - 1},
    "i64": {"type": "integer", "format": "int64", "minimum": -(1 << 63), "maximum": (1 << 63) - 1},
    "double": {"type": "number", "format": "double", "minimum": -_LARGEST, "maximum": _LARGEST},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
}
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
    schemas = _Schemas()
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aurora scheduler", "version": __version__, "description": _INFO},
        "paths": paths,
        "components": {"schemas": {"Problem": _PROBLEM, **schemas.all()}},
    }


class _Schemas:
    """The schemas that are referred to, each declared once."""

    def __init__(self) -> None:
        self._named: dict[str, Json] = {}

    def all(self) -> dict[str, Json]:
        return {name: self._named[name] for name in sorted(self._named)}

    def of(self, cls: type[msgspec.Struct]) -> Json:
        """A reference to a struct's schema."""
        if issubclass(cls, ThriftStruct):
            if cls.__name__ not in self._named:
                self._named[cls.__name__] = {}  # so that a struct within itself finds it
                self._named[cls.__name__] = self.members(cls, frozenset())
            return {"$ref": f"{_REF}{cls.__name__}"}
        (schema,), components = msgspec.json.schema_components([cls], ref_template=f"{_REF}{{name}}")
        self._named |= cast(dict[str, Json], components)
        return cast(Json, schema)

    def members(self, cls: type[ThriftStruct], leave_out: frozenset[str]) -> Json:
        """A struct's own schema, without some of its fields."""
        properties = {field.name: self._of(field.type) for field in fields_of(cls) if field.attribute not in leave_out}
        schema: Json = {"type": "object", "properties": properties, "additionalProperties": False}
        if _doc(cls):
            schema["description"] = _doc(cls)
        if issubclass(cls, ThriftUnion):
            schema |= {"minProperties": 1, "maxProperties": 1}
        return schema

    def body(self, body: Body) -> Json:
        return self.members(body.cls, body.leave_out) if body.leave_out else self.of(body.cls)

    def _of(self, type_: Type) -> Json:
        match type_:
            case Base(name):
                return _BASES[name]
            case EnumOf(cls):
                return {"type": "string", "enum": [member.name for member in cls]}
            case StructOf(struct):
                return self.of(struct)
            case ListOf(element) | SetOf(element):
                return {"type": "array", "items": self._of(element)}
            case MapOf(_, value):
                return {"type": "object", "additionalProperties": self._of(value)}


def _doc(cls: type) -> str:
    """What a class says of itself, unless it is only a part of a call."""
    return re.sub(r"\s+", " ", (cls.__dict__.get("__doc__") or "").strip()).strip()


def _operation(route: Route, schemas: _Schemas) -> Json:
    operation: Json = {
        "summary": route.summary,
        "operationId": operation_id(route),
        "tags": [route.path.split("/")[2]],
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": _responses(route, schemas),
    }
    if route.body is not None:
        schema = schemas.body(route.body)
        operation["requestBody"] = {
            "required": route.body.required,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


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


def _responses(route: Route, schemas: _Schemas) -> Json:
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
    return {problems.CONTENT_TYPE: {"schema": {"$ref": f"{_REF}Problem"}}}


def _page(item: Json) -> Json:
    next_: Json = {"type": "string", "description": "The cursor of the next page; absent on the last one."}
    return {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": item}, "next": next_},
        "additionalProperties": False,
    }
