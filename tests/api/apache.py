"""The other side of the contract: classes of the official thrift compiler, read and written by Apache's library."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from frozendict import frozendict
from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.protocol.TProtocol import TProtocolBase
from thrift.transport.TTransport import TMemoryBuffer

from aurorad.api import idl
from aurorad.api.calls import Call, Reply
from aurorad.api.struct import EnumOf, ListOf, MapOf, SetOf, StructOf, ThriftStruct, Type, fields_of
from aurorad.api.wire import MessageHeader, MessageType

IDL = Path(idl.__file__).parent

PROTOCOLS: dict[str, type[TProtocolBase]] = {
    "binary": TBinaryProtocol,
    "accelerated": TBinaryProtocolAccelerated,
    "json": TJSONProtocol,
    "compact": TCompactProtocol,
}


@contextmanager
def compiled(folder: Path) -> Iterator[Apache]:
    """The shipped IDL as Python classes. Raises `FileNotFoundError` if the compiler is missing."""
    compiler = shutil.which("thrift")
    if compiler is None:
        raise FileNotFoundError("thrift")
    subprocess.run(
        [compiler, "-r", "-strict", "--gen", "py", "-out", folder, IDL / "storage.thrift"],
        check=True,
        capture_output=True,
        text=True,
    )
    sys.path.insert(0, str(folder))
    try:
        yield Apache()
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name == "gen" or name.startswith("gen.")]:
            del sys.modules[name]


def _hash(self: object) -> int:
    return 0


class Apache:
    """Converts between our values and Apache's objects, and does with those what a foreign program would."""

    def __init__(self) -> None:
        self.api: ModuleType = importlib.import_module("gen.apache.aurora.api.ttypes")
        self.storage: ModuleType = importlib.import_module("gen.apache.aurora.storage.ttypes")
        self.constants: ModuleType = importlib.import_module("gen.apache.aurora.api.constants")
        self.service: ModuleType = importlib.import_module("gen.apache.aurora.api.AuroraAdmin")
        for module in (self.api, self.storage):
            for cls in vars(module).values():
                if isinstance(cls, type) and hasattr(cls, "thrift_spec"):
                    cls.__hash__ = _hash  # type: ignore[assignment]  # else no set can hold them

    def class_of(self, cls: type[ThriftStruct]) -> Any:
        """The generated class that stands for ours."""
        if issubclass(cls, Call):
            return self._generated(f"{cls.method()}_args")
        if cls is Reply:
            return self._generated("getJobs_result")
        module = self.storage if cls.__module__ == "aurorad.api.storage" else self.api
        return getattr(module, cls.__name__)

    def _generated(self, name: str) -> Any:
        for service in ("AuroraAdmin", "AuroraSchedulerManager", "ReadOnlyScheduler"):
            module = importlib.import_module(f"gen.apache.aurora.api.{service}")
            if name in vars(module):
                return getattr(module, name)
        raise AssertionError(f"no service declares {name}")

    def theirs(self, value: ThriftStruct) -> Any:
        """The same value as an object of Apache's."""
        return self._theirs(StructOf(type(value)), value)

    def _theirs(self, t: Type, value: Any) -> Any:
        match t:
            case StructOf(cls):
                made = self.class_of(cls)()
                for f in fields_of(cls):
                    member = getattr(value, f.attribute)
                    setattr(made, f.name, None if member is None else self._theirs(f.type, member))
                return made
            case EnumOf():
                return int(value)
            case ListOf(element):
                return [self._theirs(element, member) for member in value]
            case SetOf(element):
                return {self._theirs(element, member) for member in value}
            case MapOf(key, element):
                return {self._theirs(key, k): self._theirs(element, v) for k, v in value.items()}
        return value

    def ours(self, cls: type[ThriftStruct], value: Any) -> ThriftStruct:
        """The same value as one of ours; what Apache's object leaves unset is as our declaration defaults it."""
        assert type(value) is self.class_of(cls)
        fields = {f.attribute: (f.type, getattr(value, f.name)) for f in fields_of(cls)}
        return cls(**{name: self._ours(t, member) for name, (t, member) in fields.items() if member is not None})

    def _ours(self, t: Type, value: Any) -> Any:
        match t:
            case StructOf(cls):
                return self.ours(cls, value)
            case EnumOf(cls):
                return cls(value)
            case ListOf(element):
                return tuple(self._ours(element, member) for member in value)
            case SetOf(element):
                return frozenset(self._ours(element, member) for member in value)
            case MapOf(key, element):
                return frozendict({self._ours(key, k): self._ours(element, v) for k, v in value.items()})
        return value

    def write(self, protocol: str, value: ThriftStruct) -> bytes:
        """The bytes that Apache's library makes of our value."""
        buffer = TMemoryBuffer()
        self.theirs(value).write(PROTOCOLS[protocol](buffer))
        written: bytes = buffer.getvalue()
        return written

    def read(self, protocol: str, cls: type[ThriftStruct], data: bytes) -> ThriftStruct:
        """The value that Apache's library reads from these bytes."""
        made = self.class_of(cls)()
        made.read(PROTOCOLS[protocol](TMemoryBuffer(data)))
        return self.ours(cls, made)

    def write_message(self, protocol: str, header: MessageHeader, body: ThriftStruct) -> bytes:
        buffer = TMemoryBuffer()
        out = PROTOCOLS[protocol](buffer)
        out.writeMessageBegin(header.method, header.type, header.sequence)
        self.theirs(body).write(out)
        out.writeMessageEnd()
        written: bytes = buffer.getvalue()
        return written

    def read_message(self, protocol: str, cls: type[ThriftStruct], data: bytes) -> tuple[MessageHeader, ThriftStruct]:
        made, source = self.class_of(cls)(), PROTOCOLS[protocol](TMemoryBuffer(data))
        name, kind, sequence = source.readMessageBegin()
        made.read(source)
        source.readMessageEnd()
        return MessageHeader(name, MessageType(kind), sequence), self.ours(cls, made)
