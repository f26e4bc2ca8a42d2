"""What clients did and saw of one thing, and whether a single copy of it could look like that (Herlihy and Wing).

A thing is what a state machine makes of it: `Register` (a quota) or `Life` (a job). Operations whose outcome is unknown
may have happened at any time after they began, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

State = Hashable


@dataclass(frozen=True)
class Operation:
    what: str
    """`write` or `read`; of a job `create`, `kill` or `read`."""
    value: Hashable
    began: float
    ended: float | None
    """None: the outcome is unknown, and maybe will be."""
    whom: str = ""


Model = Callable[[State, Operation], Iterable[State]]
"""The states that there may be after an operation that happened; none if it cannot have."""


def register(state: State, operation: Operation) -> Iterable[State]:
    if operation.what == "write":
        return (operation.value,)
    return (state,) if operation.value == state else ()


ABSENT, ALIVE, DEAD = "absent", "alive", "dead"


def life(state: State, operation: Operation) -> Iterable[State]:
    """A job is created once, and killed for good. A read tells whether it is alive."""
    match operation.what:
        case "create":
            return (ALIVE,) if state == ABSENT else ()
        case "kill":
            return (DEAD if state == ALIVE else state,)
        case _:
            return (state,) if (state == ALIVE) == operation.value else ()


def is_linearizable(operations: Sequence[Operation], model: Model, start: State) -> bool:
    """Wing and Gong's search, which remembers where it has been (Lowe)."""
    every = sorted(operations, key=lambda operation: operation.began)
    known = sum(1 << n for n, operation in enumerate(every) if operation.ended is not None)
    seen: set[tuple[int, State]] = set()
    ways = [(0, start)]
    while ways:
        done, state = ways.pop()
        if done & known == known:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        rest = [n for n in range(len(every)) if not done >> n & 1]
        first_end = min(end for n in rest if (end := every[n].ended) is not None)
        for n in rest:
            if every[n].began > first_end:
                break
            ways += [(done | 1 << n, after) for after in model(state, every[n])]
    return False
