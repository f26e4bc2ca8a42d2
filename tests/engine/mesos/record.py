"""Records the scripts anew from a real master: ``python -m tests.engine.mesos.record``, which needs the rig."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import trio

from tests.engine.mesos import recordings
from tests.engine.mesos.fake_master import Json
from tests.engine.mesos.recordings import Recorder
from tests.engine.mesos.scripts import SCRIPTS, Heard
from tests.mesos.rig import Rig, install, rig

PARTS = ("--agents=1", "--attributes=host:a;rack:r1;weight:2")


class RealOperator:
    """Of the rig's cluster."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def call(self, what: Mapping[str, Any]) -> None:
        await trio.to_thread.run_sync(self._rig.call, what)

    async def stop_agent(self) -> None:
        await trio.to_thread.run_sync(self._rig.kill, "agent0")

    async def revive_agent(self) -> None:
        await trio.to_thread.run_sync(self._rig.revive, "agent0")


async def record(name: str, cluster: Rig) -> tuple[Heard, list[Json]]:
    """What the script heard, and the traffic."""
    recorder = Recorder(cluster.master)
    async with recorder.recording() as address:
        heard = await SCRIPTS[name](address, RealOperator(cluster))
    return heard, recorder.lines


def main(names: list[str]) -> None:
    install()
    with rig(*PARTS) as cluster:
        for name in names or SCRIPTS:
            print(name)
            recordings.write(name, trio.run(record, name, cluster)[1])


if __name__ == "__main__":
    main(sys.argv[1:])
