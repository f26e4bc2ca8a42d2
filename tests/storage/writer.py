"""A process that writes without end and says what was acknowledged, to be killed at any moment."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import trio

from aurorad.log import segments
from aurorad.storage import materialise, snapshots
from aurorad.storage.storage import Storage
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from tests.storage.opened import open_storage
from tests.storage.samples import task

WRITERS = 8


def _write(task_id: str, gone: str, tx: Transaction) -> None:
    tx.save_tasks(task(task_id))
    tx.remove_tasks([gone])


async def write_without_end(storage: Storage, round_number: int, writer: int) -> None:
    number = 0
    while True:
        task_id = f"{round_number}-{writer}-{number}"
        gone = f"{round_number}-{writer}-{number - 3}"
        await storage.write(partial(_write, task_id, gone))
        # One write of a pipe is whole or not at all.
        os.write(sys.stdout.fileno(), f"{task_id}\n".encode())
        number += 1


async def main(folder: Path, round_number: int) -> None:
    # Everything that can be interrupted happens all the time.
    segments.Segments.__init__.__defaults__ = (20_000,)
    snapshots.GROWTH_BYTES = 30_000
    snapshots._CHECK_S = 0.01
    snapshots.PART_ROWS = dict.fromkeys(snapshots.PART_ROWS, 10)
    materialise.INTERVAL_S = 0.005
    async with open_storage(folder, stats=Vars(), now_ms=lambda: 1) as storage, trio.open_nursery() as nursery:
        for writer in range(WRITERS):
            nursery.start_soon(write_without_end, storage, round_number, writer)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), int(sys.argv[2]))
