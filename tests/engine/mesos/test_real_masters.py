"""Three real masters who want to know who we are, and of which one leads."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from aurorad.engine import base
from aurorad.engine.base import Disconnected, Registered
from aurorad.engine.mesos.engine import FrameworkFailed
from aurorad.engine.mesos.framework import Credential
from aurorad.vars import Vars
from tests.engine.mesos.session import engine_at, session
from tests.mesos.rig import Rig, install, rig

pytestmark = pytest.mark.real_mesos

OURS = Credential("aurora", "secret")
ACLS = {
    "register_frameworks": [
        {"principals": {"values": ["aurora"]}, "roles": {"values": ["*"]}},
        {"principals": {"type": "ANY"}, "roles": {"type": "NONE"}},
    ]
}


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    install("--zookeeper")
    credentials: Path = tmp_path_factory.mktemp("masters") / "credentials"
    credentials.write_text(json.dumps({"credentials": [{"principal": OURS.principal, "secret": OURS.secret}]}))
    flags = {
        "credentials": str(credentials),
        "authenticate_http_frameworks": "true",
        "http_framework_authenticators": "basic",
        "acls": json.dumps(ACLS),
    }
    options = [f"--master-flag={name}={value}" for name, value in flags.items()]
    with rig("--masters=3", "--agents=0", *options) as it:
        yield it


async def test_who_has_no_credential_is_not_subscribed(masters: Rig) -> None:
    stats = Vars()
    send, events = trio.open_memory_channel[base.Event](math.inf)
    for attempts, credential in ((2, None), (4, Credential("aurora", "wrong"))):
        engine = engine_at(masters.leader(), stats, credential=credential)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(engine.run, send, None)
                while int(stats.get("mesos_scheduler_subscription_attempts")) < attempts:  # noqa: ASYNC110 - it tells nobody
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
    assert events.statistics().current_buffer_used == 0


async def test_who_may_not_have_a_role_is_told_so(masters: Rig) -> None:
    send, _events = trio.open_memory_channel[base.Event](math.inf)
    with pytest.raises(FrameworkFailed, match="Not authorized to register framework"), trio.fail_after(60):
        await engine_at(masters.leader(), credential=OURS, role="web").run(send, None)


async def test_a_master_that_does_not_lead_sends_us_on(masters: Rig) -> None:
    others = [masters.address(f"master{n}") for n in range(3) if masters.address(f"master{n}") != masters.leader()]
    async with session(engine_at(others[0], credential=OURS)) as it:
        await it.hear(Registered)


async def test_a_leader_that_stands_still_is_left_for_the_next(masters: Rig) -> None:
    stopped = masters.leading_part()
    async with session(engine_at(masters.master, credential=OURS, missed_heartbeats=0.2)) as it:
        registered = await it.hear(Registered)
        masters.kill(stopped, "STOP")
        try:
            await it.hear(Disconnected)
            assert await it.hear(Registered) == registered
        finally:
            masters.kill(stopped, "CONT")
