"""Prints every figure next to its goal: all of them, or those of the modules that are named."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from tests.bench import (
    api,
    client,
    cluster,
    failover,
    idle,
    launch,
    mesos,
    observer,
    packages,
    plan,
    preemption,
    replicated,
    scheduling,
    simulated,
    storage,
    store,
)

Figure = tuple[str, str, str]  # what, measured, goal

MODULES: Mapping[str, Callable[[], Iterable[Figure]]] = {
    "api": api.figures,
    "client": client.figures,
    "cluster": cluster.figures,
    "failover": failover.figures,
    "idle": idle.figures,
    "launch": launch.figures,
    "mesos": mesos.figures,
    "observer": observer.figures,
    "packages": packages.figures,
    "plan": plan.figures,
    "preemption": preemption.figures,
    "replicated": replicated.figures,
    "scheduling": scheduling.figures,
    "simulated": simulated.figures,
    "storage": storage.figures,
    "store": store.figures,
}
LONG: Mapping[str, Callable[[], Iterable[Figure]]] = {"million": simulated.million}
"""Only if named."""


def main(names: list[str]) -> None:
    every = {**MODULES, **LONG}
    unknown = set(names) - set(every)
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: some of {', '.join(every)} were expected")
    _print("figure", "measured", "goal", "command")
    for name in names or MODULES:
        for what, measured, goal in every[name]():
            _print(what, measured, goal or "-", f"python -m tests.bench {name}")


def _print(what: str, measured: str, goal: str, command: str) -> None:
    print(f"{what:58} {measured:>16}  {goal:20} {command}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
