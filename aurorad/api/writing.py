"""What encoders share: what they write to, and writers of structs that are written out as if by hand, for speed.

A loop over a struct's fields costs several times what the fields themselves do, and an answer with all tasks of a
cluster has millions of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aurorad.api.struct import ThriftStruct


class Output(bytearray):
    """The bytes so far, and those of each shared struct among them."""

    def __init__(self, begin: bytes = b"") -> None:
        super().__init__(begin)
        self.written: dict[int, bytes] = {}
        """By identity: the values being written outlive the writing."""


# The value's type is known only to the declaration that a writer was built from, hence Any.
Writer = Callable[[Any, Output], None]


def struct_writer(cls: type[ThriftStruct], lines: Iterable[str], names: Mapping[str, object]) -> Writer:
    """Made of statements about a `value` and an `out`; `names` are what else they refer to."""
    name = f"write_{cls.__name__}"
    made: dict[str, Any] = dict(names)
    source = "\n    ".join([f"def {name}(value, out):", *lines])
    exec(compile(source, f"<{name}>", "exec"), made)  # noqa: S102 - of our own declarations, nothing else
    write: Writer = made[name]
    return _once(write) if cls.shared else write


def _once(write: Writer) -> Writer:
    """Of a value that comes again, the bytes are copied."""

    def write_or_copy(value: Any, out: Output) -> None:
        known = out.written.get(id(value))
        if known is not None:
            out += known
            return
        start = len(out)
        write(value, out)
        out.written[id(value)] = bytes(out[start:])

    return write_or_copy
