"""The engine goes through what was recorded as it did through the real thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import trio

from tests.engine.mesos import recordings
from tests.engine.mesos.fake_master import serving
from tests.engine.mesos.record import PARTS, record
from tests.engine.mesos.recordings import Player, answers, forms
from tests.engine.mesos.scripts import SCRIPTS, Heard
from tests.engine.mesos.session import observed
from tests.mesos.rig import Rig, install, rig


class NoOperator:
    """What operators did is in the recording."""

    async def call(self, what: Mapping[str, Any]) -> None: ...

    async def stop_agent(self) -> None: ...

    async def revive_agent(self) -> None: ...


async def play(name: str) -> Heard:
    player = Player(recordings.read(name))
    with trio.fail_after(30):
        async with serving(player.handle) as address:
            heard = await SCRIPTS[name](address, NoOperator())
    assert player.unexpected == []
    return heard


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_engine_gets_through(name: str) -> None:
    assert await play(name)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Rig]:
    install()
    with rig(*PARTS) as cluster:
        yield cluster


@pytest.mark.real_mesos
@pytest.mark.parametrize("name", SCRIPTS)
async def test_recording_and_real_master_agree_on(name: str, cluster: Rig) -> None:
    heard, lines = await record(name, cluster)
    recorded = recordings.read(name)
    assert observed(heard) == observed(await play(name))
    assert answers(lines) == answers(recorded)
    assert forms(lines) == forms(recorded)
