"""Writes that must happen, however long the log has no room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.transaction import Transaction

T = TypeVar("T")

LONGEST_WRITE_S = 0.005
"""Who has much to write leaves the rest to the next write, after others had their turn: nothing may hold the loop for
50 ms, however much there is, and a request should not wait for half of that."""

RETRY_S = 1.0
"""Between attempts: room appears when somebody makes it, which takes longer."""


async def write_patiently(storage: Storage, work: Callable[[Transaction], T]) -> T:
    """`storage.write`, again and again while the log is full: `work` must look at the tables afresh each time."""
    while True:
        try:
            return await storage.write(work)
        except LogFull:
            await trio.sleep(RETRY_S)
