"""What lives long is not searched for garbage again and again.

A full search looks at everything the garbage collector tracks, which takes 100 ms and more where there are hundreds of
thousands of offers or tasks. Whatever survives one that took long will hardly be garbage soon: it is left out of those
that follow. Nearly all garbage is freed without any search, for it is no part of a cycle.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import trio

LONG_S = 0.01


@contextmanager
def making_what_stays() -> Iterator[None]:
    """What is made within lives on, and is nothing cyclic: searching it again and again would hold the event loop."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def leave_alone_what_there_is() -> None:
    """Without a search for what of it is garbage, which takes its time."""
    gc.freeze()


async def leave_long_lived_alone() -> None:
    """Leave out what there is now, and what survives a long search, until cancelled."""
    started = 0.0

    def heard(phase: str, info: Mapping[str, int]) -> None:
        nonlocal started
        if phase == "start":
            started = time.perf_counter()
        elif info["generation"] == 2 and time.perf_counter() - started > LONG_S:
            gc.freeze()

    gc.collect()
    gc.freeze()
    gc.callbacks.append(heard)
    try:
        await trio.sleep_forever()
    finally:
        gc.callbacks.remove(heard)
