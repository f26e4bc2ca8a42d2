"""Writes that must happen, however long the log has no room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from aurorad.storage.storage import LogFull, Storage
from aurorad.storage.transaction import Transaction

T = TypeVar("T")

RETRY_S = 1.0
"""Between attempts: room appears when somebody makes it, which takes longer."""


async def write_patiently(storage: Storage, work: Callable[[Transaction], T]) -> T:
    """`storage.write`, again and again while the log is full: `work` must look at the tables afresh each time."""
    while True:
        try:
            return await storage.write(work)
        except LogFull:
            await trio.sleep(RETRY_S)
