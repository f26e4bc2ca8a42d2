"""The thrift IDL that the project ships, written from the declarations: ``python -m aurorad.api.idl``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path
from types import ModuleType

from aurorad.api import calls, enums, results, storage, struct, tasks, updates
from aurorad.api.struct import Base, EnumOf, Field, ListOf, MapOf, SetOf, StructOf, ThriftStruct, ThriftUnion, Type

_HEADER = "// Written by `python -m aurorad.api.idl` from the declarations in aurorad/api. Do not edit.\n"


def api_text() -> str:
    """The text of ``api.thrift``: everything that crosses the wire."""
    parts = [
        _HEADER,
        _namespaces("org.apache.aurora.gen", "gen.apache.aurora.api"),
        *map(_enum, _enums()),
        "".join(_constants(enums)),
        *(_struct(cls, "") for module in (tasks, updates, results) for cls in _structs(module)),
        *_services(),
    ]
    return "\n".join(parts)


def storage_text() -> str:
    """The text of ``storage.thrift``: what the log and backups hold."""
    parts = [
        _HEADER,
        _namespaces("org.apache.aurora.gen.storage", "gen.apache.aurora.storage"),
        'include "api.thrift"\n',
        "".join(_constants(storage)),
        *(_struct(cls, "api.") for cls in _structs(storage)),
    ]
    return "\n".join(parts)


def files(folder: Path) -> dict[Path, str]:
    """What the two files in `folder` are to hold."""
    return {folder / "api.thrift": api_text(), folder / "storage.thrift": storage_text()}


def _namespaces(java: str, py: str) -> str:
    return f"namespace java {java}\nnamespace py {py}\n"


def _enums() -> list[type[IntEnum]]:
    found = (value for value in vars(enums).values() if inspect.isclass(value) and value.__module__ == enums.__name__)
    return [cls for cls in found if issubclass(cls, IntEnum)]


def _structs(module: ModuleType) -> list[type[ThriftStruct]]:
    """Those that the module declares, in its order, which is one of declaration before use."""
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, ThriftStruct) and value.__module__ == module.__name__
    ]


def _enum(cls: type[IntEnum]) -> str:
    return _block(f"enum {cls.__name__}", (f"{member.name} = {member.value}" for member in cls))


def _constants(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        match value:
            case str() if name.isupper():
                escaped = value.replace("\\", "\\\\").replace('"', '\\"')
                yield f'const string {name} = "{escaped}"\n'
            case int() if name.isupper():
                yield f"const i32 {name} = {value}\n"
            case frozenset() if name.isupper():
                cls = type(next(iter(value)))
                members = ", ".join(f"{cls.__name__}.{member.name}" for member in cls if member in value)
                yield f"const set<{cls.__name__}> {name} = [{members}]\n"


def _struct(cls: type[ThriftStruct], prefix: str) -> str:
    kind = "union" if issubclass(cls, ThriftUnion) else "struct"
    defaults = cls()
    rows = (_field(f, prefix, getattr(defaults, f.attribute)) for f in struct.fields_of(cls))
    return _block(f"{kind} {cls.__name__}", rows)


def _field(field: Field, prefix: str, default: object) -> str:
    keyword = "optional " if field.optional else ""
    declared = f"{field.id}: {keyword}{_type(field.type, prefix)} {field.name}"
    # A struct that is not empty by default is the only default there is; all other fields start out unset.
    if isinstance(default, ThriftStruct) and default != type(default)():
        return f"{declared} = {_literal(default)}"
    return declared


def _literal(value: ThriftStruct) -> str:
    members = ((f.name, getattr(value, f.attribute)) for f in struct.fields_of(type(value)))
    inner = (f'"{name}": {_literal(member)}' for name, member in members if isinstance(member, ThriftStruct))
    return f"{{{', '.join(inner)}}}"


def _type(t: Type, prefix: str) -> str:
    """`prefix` goes before the names of what another file declares."""
    match t:
        case Base(name):
            return name
        case EnumOf(enum):
            return f"{prefix}{enum.__name__}"
        case StructOf(cls):
            return cls.__name__ if cls.__module__ == storage.__name__ else f"{prefix}{cls.__name__}"
        case ListOf(element):
            return f"list<{_type(element, prefix)}>"
        case SetOf(element):
            return f"set<{_type(element, prefix)}>"
        case MapOf(key, value):
            return f"map<{_type(key, prefix)}, {_type(value, prefix)}>"


def _services() -> Iterator[str]:
    before = ""
    for name, base in calls.SERVICES:
        methods = (_method(call) for call in calls.CALLS.values() if issubclass(call, base))
        yield _block(f"service {name}{f' extends {before}' if before else ''}", methods)
        before = name


def _method(call: type[calls.Call]) -> str:
    arguments = ", ".join(f"{f.id}: {_type(f.type, '')} {f.name}" for f in struct.fields_of(call))
    return f"Response {call.method()}({arguments})"


def _block(head: str, rows: Iterable[str]) -> str:
    return "".join([f"{head} {{\n", *(f"  {row}\n" for row in rows), "}\n"])


if __name__ == "__main__":
    for path, text in files(Path(__file__).parent).items():
        path.write_text(text)
