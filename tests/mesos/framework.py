"""A framework of our own on a real Mesos: our engine, as the scheduler uses it, without a scheduler."""

from __future__ import annotations

import itertools
import json
import math
import random
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio
from frozendict import frozendict

from aurorad.api.tasks import AssignedTask, ExecutorConfig, JobKey, TaskConfig
from aurorad.engine.base import Event, Offer, Offers, Registered, Resource, StatusUpdate, TaskState
from aurorad.engine.mesos.engine import FrameworkRemoved, MesosEngine
from aurorad.engine.mesos.framework import framework_info
from aurorad.engine.mesos.launching import Launching
from aurorad.rules import executors
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.task_info import task_info, template_of
from aurorad.vars import Vars
from tests.mesos.rig import Rig

LIMIT_S = 60.0
ROLE = "www-data"  # Debian's, so there is such a user
OWN = (Resource("cpus", 0.1), Resource("mem", 32.0))
OVERHEAD = (Resource("cpus", 0.1), Resource("mem", 64.0))

T = TypeVar("T")


class Framework:
    """What it hears it acknowledges, unless told otherwise."""

    def __init__(self, rig: Rig, executor: Path, *, checkpoint: bool, role: str | None, others: str) -> None:
        info = framework_info(
            name="tests",
            user="root",
            failover_timeout_s=3600.0,
            role=role,
            principal=None,
            hostname="localhost",
            webui_url="http://localhost",
            revocable=False,
            gpus=False,
            partition_aware=False,
        )
        own = executors.built_in(0.1, 64, str(executor))
        self._executors = ExecutorSettings({"AuroraExecutor": own, **executors.parse(others)})
        self.engine = MesosEngine(
            masters=rig.master,
            framework=msgspec.structs.replace(info, checkpoint=checkpoint),
            credential=None,
            launching=Launching(self._executors.by_name, "cluster-1"),
            stats=Vars(),
            rng=random.Random(1),
        )
        self.is_acknowledging = True
        self.events: list[Event] = []
        self._rig = rig
        self._used: set[str] = set()
        self._news = trio.Event()

    async def take(self, events: trio.MemoryReceiveChannel[Event]) -> None:
        async for event in events:
            self.events.append(event)
            if isinstance(event, StatusUpdate) and event.uuid is not None and self.is_acknowledging:
                await self.engine.acknowledge(event)
            self._news.set()
            self._news = trio.Event()

    async def until(self, found: Callable[[Event], T | None]) -> T:
        """What `found` makes of the first event that it makes something of."""
        with trio.fail_after(LIMIT_S):
            for seen in itertools.count():
                while seen >= len(self.events):
                    await self._news.wait()
                result = found(self.events[seen])
                if result is not None:
                    return result
        raise AssertionError("there is always another event")

    async def update(self, task_id: str, state: TaskState) -> StatusUpdate:
        return await self.until(
            lambda e: e if isinstance(e, StatusUpdate) and (e.task_id, e.state) == (task_id, state) else None
        )

    def states(self, task_id: str) -> list[str]:
        """Each once, however often it was told."""
        updates = [e for e in self.events if isinstance(e, StatusUpdate) and e.task_id == task_id]
        return list(dict.fromkeys(update.state.removeprefix("TASK_") for update in updates))

    async def offer(self, fits: Callable[[Offer], bool] = lambda _: True) -> Offer:
        """One that was not used yet, and is fit."""

        def fresh(event: Event) -> Offer | None:
            offers = event.offers if isinstance(event, Offers) else ()
            return next((offer for offer in offers if offer.id not in self._used and fits(offer)), None)

        found = await self.until(fresh)
        self._used.add(found.id)
        return found

    async def launch(self, cmdline: str, **fields: Any) -> Launched:
        """A task of one process, once it runs."""
        return await self.launch_on(await self.offer(), (OWN, OVERHEAD), cmdline, **fields)

    async def launch_on(
        self,
        offer: Offer,
        parts: tuple[tuple[Resource, ...], tuple[Resource, ...]],
        cmdline: str,
        ports: Mapping[str, int] = frozendict(),
        executor: str = "AuroraExecutor",
        **fields: Any,
    ) -> Launched:
        """Of these parts of the offer, for the task and its executor."""
        process = {"name": "it", "cmdline": cmdline, "min_duration": 0}
        task = {"name": "it", "processes": [process], "constraints": [{"order": ["it"]}], **fields}
        data = {"cluster": "c", "role": ROLE, "environment": "test", "name": "job", "task": task}
        job = JobKey(ROLE, "test", "job")
        config = TaskConfig(job=job, executor_config=ExecutorConfig(executor, json.dumps(data)))
        task_id = f"{ROLE}-test-job-0-{uuid.uuid4()}"
        assigned = AssignedTask(task_id, offer.agent_id, offer.hostname, config, frozendict(ports), 0)
        template = template_of(config, self._executors)
        await self.engine.launch(offer.id, (task_info(template, assigned, offer.agent_id, *parts),), 0.0)
        await self.update(task_id, TaskState.TASK_RUNNING)
        return Launched(self._rig, task_id, offer.hostname)


class Launched:
    """Where a task is, on which agent, and what there is of it."""

    def __init__(self, rig: Rig, task_id: str, hostname: str) -> None:
        (self.agent,) = (agent for agent in rig.agents if agent.hostname == hostname)
        self.id = task_id
        (run,) = self.agent.work_dir.glob(f"slaves/*/frameworks/*/executors/*-{task_id}/runs/latest")
        self.directory = run.resolve()
        self.sandbox = self.directory / "sandbox"

    async def wrote(self, file: str) -> str:
        """A line in a file of its sandbox, once it is there."""
        path = self.sandbox / file
        with trio.fail_after(LIMIT_S):
            while not (text := path.read_text() if path.exists() else "").endswith("\n"):  # noqa: ASYNC110
                await trio.sleep(0.05)
        return text

    async def pid(self, file: str = "pid") -> int:
        """What it wrote with ``echo $$``."""
        return int(await self.wrote(file))

    @property
    def is_over(self) -> bool:
        """As whoever reads its checkpoints sees it."""
        return (self.directory / "checkpoints/tasks/finished" / self.id).exists()

    def log(self) -> str:
        return (self.directory / "executor.log").read_text()


async def _run(engine: MesosEngine, events: trio.MemorySendChannel[Event]) -> None:
    """Until it is torn down."""
    with suppress(FrameworkRemoved):
        await engine.run(events, None)


@asynccontextmanager
async def framework(
    rig: Rig, executor: Path, *, checkpoint: bool = True, role: str | None = None, others: str = "[]"
) -> AsyncIterator[Framework]:
    """Subscribed; what is left of it at the end ends with the rig. `others` is a file of executors beside ours."""
    it = Framework(rig, executor, checkpoint=checkpoint, role=role, others=others)
    send, receive = trio.open_memory_channel[Event](math.inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run, it.engine, send)
        nursery.start_soon(it.take, receive)
        await it.until(lambda event: event if isinstance(event, Registered) else None)
        yield it
        nursery.cancel_scope.cancel()
