"""Whatever happens to connections and masters: of every launch there is an end that engine and cluster agree on."""

from __future__ import annotations

import base64
import functools
import random
from collections.abc import Callable, Mapping

import pytest
import trio
from trio.testing import MockClock

from aurorad.engine import base
from aurorad.engine.base import StatusUpdate, TaskState
from tests.engine.mesos.fake_master import Answer, Json, Stream, serving
from tests.engine.mesos.session import engine_at, session, task

SUBSCRIBED = {"framework_id": {"value": "framework"}, "heartbeat_interval_seconds": 15.0}
NOT_RUNNING = {TaskState.TASK_LOST, TaskState.TASK_DROPPED, TaskState.TASK_ERROR}
LAUNCHES = 25
WAYS_TO_DIE: list[Callable[[Stream], None]] = [
    Stream.cut,
    Stream.end,
    lambda stream: stream.send(b"?\n"),
    lambda stream: None,
]


class Cluster:
    """A master that may die at any moment, and an agent that tells again what was not acknowledged."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._stream: Stream | None = None
        self._numbers = 0
        self.tasks: set[str] = set()
        self.unacknowledged: dict[str, Json] = {}
        self.is_well = False
        """Nothing happens any more."""

    async def handle(self, call: Json, headers: Mapping[str, str]) -> Answer | Stream:
        if call["type"] == "SUBSCRIBE":
            return self._subscribe(call, headers)
        if self._stream is None or headers["mesos-stream-id"] != self._stream.id:
            return Answer(400, "The stream ID 'x' included in this request didn't match")
        if self._dies():
            return Answer(503)
        getattr(self, f"_{call['type'].lower()}")(call)
        self._dies()
        return Answer(202)

    def _subscribe(self, call: Json, headers: Mapping[str, str]) -> Answer | Stream:
        if not self.is_well and self._rng.random() < 0.3:
            return Answer(self._rng.choice([307, 400, 500, 503]))
        self._numbers += 1
        self._stream = Stream(f"stream-{self._numbers}", call, headers)
        self._stream.tell({"type": "SUBSCRIBED", "subscribed": SUBSCRIBED})
        self._stream.tell(*self.unacknowledged.values())
        return self._stream

    def _dies(self) -> bool:
        if self.is_well or self._stream is None or self._rng.random() > 0.15:
            return False
        how = self._rng.choice(WAYS_TO_DIE)
        how(self._stream)
        self._stream = None  # in the last case it is only silent from now on
        return True

    def _tell(self, update: Json) -> None:
        if self._stream is not None:
            self._stream.tell(update)

    def _accept(self, call: Json) -> None:
        for each in call["accept"]["operations"][0]["launch"]["task_infos"]:
            task_id = each["task_id"]["value"]
            if not self.is_well and self._rng.random() < 0.2:
                continue  # the master died before the agent had it
            self.tasks.add(task_id)
            for state in ("TASK_STARTING", "TASK_RUNNING"):
                self._numbers += 1
                uuid = base64.b64encode(str(self._numbers).encode()).decode()
                self.unacknowledged[uuid] = update = _update(task_id, state, uuid)
                self._tell(update)
        if not self.is_well and self._rng.random() < 0.3 and self._stream is not None:
            self._stream.cut()
            self._stream = None

    def _acknowledge(self, call: Json) -> None:
        self.unacknowledged.pop(call["acknowledge"]["uuid"], None)

    def _reconcile(self, call: Json) -> None:
        for each in call["reconcile"]["tasks"]:
            task_id = each["task_id"]["value"]
            if self.is_well or self._rng.random() < 0.5:  # else the agent has not come to this master yet
                self._tell(_update(task_id, "TASK_RUNNING" if task_id in self.tasks else "TASK_LOST"))


def _update(task_id: str, state: str, uuid: str | None = None) -> Json:
    status = {"task_id": {"value": task_id}, "agent_id": {"value": "agent"}, "state": state}
    return {"type": "UPDATE", "update": {"status": status if uuid is None else {**status, "uuid": uuid}}}


@pytest.mark.parametrize("seed", range(4))
async def test_launches_come_to_an_end_that_all_agree_on(seed: int, quick_clock: MockClock) -> None:
    rng = random.Random(seed)
    cluster = Cluster(rng)
    heard: dict[str, TaskState] = {}

    async def hear(events: trio.MemoryReceiveChannel[base.Event], acknowledge: base.Engine) -> None:
        async for event in events:
            if isinstance(event, StatusUpdate):
                heard[event.task_id] = event.state
                if event.uuid is not None:
                    await acknowledge.acknowledge(event)

    async with serving(cluster.handle) as address, session(engine_at(address)) as it, trio.open_nursery() as nursery:
        nursery.start_soon(hear, it._events, it.engine)
        for number in range(LAUNCHES):
            offer = base.Offer(f"offer-{number}", "agent", "host", ())
            await it.engine.launch(offer.id, (task(offer, f"{number}-a"), task(offer, f"{number}-b")), 0.0)
            if rng.random() < 0.3:
                nursery.start_soon(functools.partial(it.engine.reconcile, (f"{number}-a",)))
            await trio.sleep(rng.choice([0.0, 0.1, 3.0, 40.0]))
        cluster.is_well = True
        if cluster._stream is not None:
            cluster._stream.cut()
        await trio.sleep(600)
        nursery.cancel_scope.cancel()
    assert len(heard) == 2 * LAUNCHES
    assert {task_id for task_id, state in heard.items() if state not in NOT_RUNNING} == cluster.tasks
    assert cluster.unacknowledged == {}
