"""Which ports a task mentions and which of them the scheduler must assign (config-schema sheet, section 9)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pystachio import Ref

from aurorad.jobfile.errors import ConfigError

_PORTS = Ref.from_address("thermos.ports")


def referenced(refs: Iterable[Ref]) -> frozenset[str]:
    """The names in ``{{thermos.ports[name]}}`` among `refs`. Raises `ConfigError` for another spelling of it."""
    names = set()
    for ref in refs:
        rest = _PORTS.scoped_to(ref)
        if rest is None:
            continue
        if not rest.is_index() or not rest.rest().is_empty():
            raise ConfigError(f'Bad port specification "{ref.address()}" (should be of form "thermos.ports[name]"')
        names.add(str(rest.action().value))
    return frozenset(names)


def resolve(portmap: Mapping[str, str]) -> dict[str, int | str]:
    """Each name followed to a port number, or to a name that leads nowhere. Raises `ConfigError` for a cycle."""
    return {name: _follow(name, portmap) for name in portmap}


def number(target: str) -> int | None:
    """A target that is a static port."""
    return int(target) if target.isascii() and target.isdecimal() else None


def _follow(name: str, portmap: Mapping[str, str]) -> int | str:
    seen = [name]
    while (target := portmap.get(seen[-1])) is not None:
        static = number(target)
        if static is not None:
            return static
        if target in seen:
            raise ConfigError(f"Found cycle in portmap! {' -> '.join([*seen, target])}")
        seen.append(target)
    return seen[-1]


def requested(portmap: Mapping[str, str], names: Iterable[str]) -> frozenset[str]:
    """The ports to ask the scheduler for, given the announcer's portmap and the names that processes mention."""
    resolved = resolve(portmap)
    targets = [*resolved.values(), *(resolved.get(name, name) for name in names)]
    return frozenset(target for target in targets if isinstance(target, str))
