"""Hooks of an application that can also be asked outside of it: would they let a request pass, by its headers alone?

The short way of small calls (`web/short_way.py`) asks them in the application's place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from quart import Quart

Hook = Callable[[], Awaitable[Any]]
Passes = Callable[[Mapping[str, str]], bool]
"""Of headers with different names, which are written as ``Content-Type`` is."""
_KEY = "aurorad.passes"


def before_request(app: Quart, hook: Hook, passes: Passes) -> None:
    """Have `hook` judge all requests. What `passes` says yes to, if it is a ``POST /api``, the hook would let pass."""
    app.before_request(hook)
    app.extensions.setdefault(_KEY, {})[hook] = passes


def judges(app: Quart) -> tuple[Passes, ...] | None:
    """What stands for all hooks before each of its requests; None if there are hooks for which nothing does."""
    known: Mapping[Callable[..., object], Passes] = app.extensions.get(_KEY, {})
    hooks = app.before_request_funcs[None]
    return tuple(known[hook] for hook in hooks) if all(hook in known for hook in hooks) else None
