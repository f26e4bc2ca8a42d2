"""Which part of a job is meant, and on which line of the file it was made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from pystachio import Empty, MustacheParser, Ref
from pystachio.base import Object
from pystachio.choice import ChoiceContainer
from pystachio.composite import Structural
from pystachio.container import ListContainer, MapContainer

# What reading a value may raise when a template in it, or the value itself, is no good.
UNREADABLE = (Ref.InvalidRefError, MustacheParser.Uninterpolatable, Object.CoercionError, OverflowError)


class _Part(NamedTuple):
    step: str
    value: Any


def culprit(root: Any, is_wrong: Callable[[Any], bool], path: str = "") -> str:
    """`` (Process at job.aurora:7, task.processes[0].cmdline)``: the innermost part of `root` that is wrong.

    `path` is that of `root`. Nothing when `root` itself is wrong and nobody knows where it was made.
    """
    maker = value = root
    while (part := next((p for p in _parts(value) if is_wrong(p.value)), None)) is not None:
        path, value = path + part.step, part.value
        maker = value if isinstance(value, Structural) else maker
    return _shown(maker, path.removeprefix("."))


def at(root: Any, path: str) -> str:
    """The same for the part with this path; as much of it counts as there is."""
    sought = f".{path}"
    done, maker, value = "", root, root
    while (part := next((p for p in _parts(value) if _leads(sought, done + p.step)), None)) is not None:
        done, value = done + part.step, part.value
        maker = value if isinstance(value, Structural) else maker
    return _shown(maker, path)


def field(struct: Any, name: str) -> Any:
    """A field of a struct with all scopes but nothing resolved."""
    return struct._schema_data[name].in_scope(*struct.scopes())


def processes(task: Any) -> Sequence[Any]:
    """Those of a task, nothing resolved; there must be some set."""
    found: Sequence[Any] = task._schema_data["processes"]._values
    return found


def failing(part: Any) -> bool:
    try:
        return not part.check().ok()
    except UNREADABLE:
        return True


def leaving(refs: Collection[Ref]) -> Callable[[Any], bool]:
    """Whether a part leaves one of `refs` without a value."""
    return lambda part: any(ref in refs for ref in part.interpolate()[1])


def _leads(sought: str, path: str) -> bool:
    return sought.startswith(path) and sought[len(path) : len(path) + 1] in ("", ".", "[")


def _parts(value: Any) -> Iterator[_Part]:
    scopes = value.scopes()
    if isinstance(value, Structural):
        for name, inner in value._schema_data.items():
            if inner is not Empty:
                yield _Part(f".{name}", inner.in_scope(*scopes))
    elif isinstance(value, ListContainer):
        for index, inner in enumerate(value._values):
            yield _Part(f"[{index}]", inner.in_scope(*scopes))
    elif isinstance(value, MapContainer):
        for key, inner in value._map:
            yield _Part(f"[{key._value}]", inner.in_scope(*scopes))
    elif isinstance(value, ChoiceContainer) and isinstance(value._value, Object):
        yield _Part("", value._value.in_scope(*scopes))


def _shown(maker: Any, path: str) -> str:
    place = getattr(maker, "_made_at", None)
    if place is None:
        return f" ({path})" if path else ""
    name = type(maker).__name__.replace("MesosJob", "Job")
    return f" ({name} at {place}, {path})" if path else f" ({name} at {place})"
