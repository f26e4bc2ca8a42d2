"""Templates that only the executor can fill in, as ``{{thermos.ports[http]}}`` (config-schema sheet, 2, 8 and 9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class UnboundError(ValueError):
    """A template of ours without a value, or ports that name each other in a circle."""


class Bindings(NamedTuple):
    """What is known of an instance only where it runs."""

    task_id: str
    instance: int
    hostname: str
    user: str
    ports: Mapping[str, int] = {}


_ADDRESS = r"[^\d\W]\w*(?:\.[^\d\W]\w*|\[[\w\-\./]+\])*"
_TAG = re.compile(r"\{\{(" + _ADDRESS + r")\}\}")
_PORT = re.compile(r"thermos\.ports\[([\w\-\./]+)\]")
_MAX_PASSES = 100


def resolve_ports(portmap: Mapping[str, str | int]) -> dict[str, int]:
    """Each name followed through other names to its number; names that end nowhere are left out (sheet, section 9).

    Raises `UnboundError` for names that go in a circle.
    """
    resolved: dict[str, int] = {}
    for name in portmap:
        seen = {name}
        target: str | int | None = portmap[name]
        while isinstance(target, str) and not (target.isascii() and target.isdecimal()):
            if target in seen:
                raise UnboundError("Found cycle in portmap!")
            seen.add(target)
            target = portmap.get(target)
        if target is not None:
            resolved[name] = int(target)
    return resolved


def fill(tree: JsonValue, bindings: Bindings) -> JsonValue:
    """The same tree with the executor's own templates filled in; what is in no namespace of ours is the author's text.

    Raises `UnboundError` for a port that was not assigned, and for unknown names under `thermos` and `mesos`.
    """
    values = {
        "thermos.task_id": bindings.task_id,
        "thermos.user": bindings.user,
        "mesos.instance": str(bindings.instance),
        "mesos.hostname": bindings.hostname,
    }
    values.update({f"thermos.ports[{name}]": str(port) for name, port in bindings.ports.items()})
    return _map_strings(tree, lambda text: _fill_text(text, values))


def _map_strings(tree: JsonValue, change: Callable[[str], str]) -> JsonValue:
    if isinstance(tree, str):
        return change(tree)
    if isinstance(tree, list):
        return [_map_strings(item, change) for item in tree]
    if isinstance(tree, dict):
        return {key: _map_strings(value, change) for key, value in tree.items()}
    return tree


def _fill_text(text: str, values: Mapping[str, str]) -> str:
    for _ in range(_MAX_PASSES):  # innermost tags first, until nothing changes: {{thermos.ports[x_{{mesos.instance}}]}}
        filled = _TAG.sub(lambda tag: values.get(tag[1], tag[0]), text)
        if filled == text:
            break
        text = filled
    ours = [tag for tag in _TAG.findall(text) if tag.split(".")[0].split("[")[0] in ("thermos", "mesos")]
    for address in ours:
        port = _PORT.fullmatch(address)
        if port is not None:
            raise UnboundError(f"Task requires unbound port {port[1]}!")
    if ours:
        refs = " ".join(f"{{{{{address}}}}}" for address in ours)
        raise UnboundError(f"Unexpected unbound refs: {refs}. Make sure you are not nesting template variables.")
    return text
