"""Why a job's instances wait, and what calls would do, asked of a scheduler that runs on pretended agents."""

from __future__ import annotations

from uuid import uuid4

import msgspec
import pytest
import trio
from trio.testing import MockClock

from aurorad.api.calls import AbortJobUpdate, CreateJob, StartJobUpdate
from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import Identity, JobConfiguration, TaskConfig
from aurorad.api.updates import (
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
)
from aurorad.rules.tiers import BUILT_IN
from aurorad.scheduler.explaining import Explainer
from aurorad.scheduler.limits import admission_limits
from aurorad.scheduler.rpc.jobs import JobCalls
from aurorad.scheduler.rpc.plans import Fit, Plans
from aurorad.scheduler.rpc.updates import UpdateCalls
from aurorad.scheduler.updater import Updater
from tests.scheduler.pretend_engine import Agent, PretendEngine
from tests.scheduler.world import World, config, limit, now_ms, value

T = ScheduleStatus
SETTINGS = JobUpdateSettings(update_strategy=JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(2)))


def world(*agents: Agent) -> World:
    return World(PretendEngine(*agents))


class Asked:
    """Explanations and plans of a world."""

    def __init__(self, here: World) -> None:
        scheduler, flags, stats = here.scheduler, here.flags, here.stats
        self.updater = Updater(here.storage, scheduler.states, now_ms, stats, flags, sla=scheduler.sla, rng=here.rng)
        self.explainer = Explainer(
            tables=here.tables,
            offers=scheduler.offers,
            agents=scheduler.agents,
            objections=lambda: self.updater.objections,
            penalty_ms=scheduler.states.remaining_penalty_ms,
            flags=flags,
            now_ms=now_ms,
        )
        limits = admission_limits(flags)
        self.updates = UpdateCalls(here.storage, self.updater, limits, BUILT_IN, flags, stats, uuid4)
        self.plans = Plans(
            storage=here.storage,
            jobs=JobCalls(here.storage, scheduler.states, limits, BUILT_IN, stats),
            updates=self.updates,
            explainer=self.explainer,
        )


def owned(task: TaskConfig, **changes: object) -> TaskConfig:
    return msgspec.structs.replace(task, owner=Identity("alice"), **changes)


def creation(task: TaskConfig, count: int) -> CreateJob:
    return CreateJob(JobConfiguration(task.job, Identity("alice"), task_config=task, instance_count=count))


def change(task: TaskConfig, count: int) -> StartJobUpdate:
    return StartJobUpdate(JobUpdateRequest(task, count, SETTINGS), None)


async def test_instances_that_wait_are_explained_with_what_would_help(autojump_clock: MockClock) -> None:
    async with world(Agent("a1", cpus=2), Agent("a2", cpus=3)).running() as here:
        big = config(cpus=4)
        await here.create(big, 3)
        await trio.sleep(5)
        told = await Asked(here).explainer.job(big.job)
        assert told.instances == {"PENDING": 3}
        assert told.sentences == ("3 of 3 active instances wait.",)
        (group,) = told.waiting
        assert (group.instances, group.status) == ("0-2", "PENDING")
        assert group.sentences[0] == "None of 2 hosts can take one more instance now."
        assert "lacks 1.25 of 4.25 CPU" in group.sentences[1]
        assert group.sentences[-1] == "No other task may be displaced for it."
        assert group.hosts is not None
        assert group.hosts.reasons[0].hosts == 2


async def test_a_host_that_is_full_says_no_although_it_offers_nothing(autojump_clock: MockClock) -> None:
    async with world(Agent("a1", cpus=1, mem=192, disk=64, ports=(1, 0))).running() as here:
        await here.create(config(cpus=0.75))
        await here.until_count(T.RUNNING, 1)
        await here.create(config(name="other"))
        await trio.sleep(5)
        told = await Asked(here).explainer.job(config(name="other").job)
        assert told.waiting[0].hosts is not None
        assert told.waiting[0].hosts.hosts == 1


async def test_what_runs_does_not_wait(autojump_clock: MockClock) -> None:
    async with world(Agent("a1")).running() as here:
        await here.create(config(), 2)
        await here.until_count(T.RUNNING, 2)
        told = await Asked(here).explainer.job(config().job)
        assert told.sentences == ("Nothing waits for a host: 2 active.",)
        assert told.waiting == ()
        assert told.update == ()


async def test_only_named_instances_are_explained(autojump_clock: MockClock) -> None:
    async with world(Agent("a1", cpus=1)).running() as here:
        await here.create(config(cpus=4), 3)
        told = await Asked(here).explainer.job(config().job, frozenset({1}))
        assert told.instances == {"PENDING": 1}
        assert told.waiting[0].instances == "1"


async def test_it_is_told_whom_preemption_would_end(autojump_clock: MockClock) -> None:
    async with world(Agent("a1", cpus=4)).running() as here:
        await here.create(config(cpus=3))
        await here.until_count(T.RUNNING, 1)
        wanted = msgspec.structs.replace(config(cpus=3, name="vip"), tier="preferred", production=True)
        await here.create(wanted)
        await trio.sleep(5)
        told = await Asked(here).explainer.job(wanted.job)
        assert told.waiting[0].sentences[-1] == "After waiting for 180 s it may displace www-data/prod/web/0 on a1."


async def test_a_penalty_is_told(autojump_clock: MockClock) -> None:
    async with world(Agent("a1")).running() as here:
        (task_id,) = await here.create(config())
        for _ in range(2):
            await here.until_status(task_id, T.RUNNING)
            await here.change(task_id, T.FAILED)
            task_id = (await here.until_successor(task_id)).assigned_task.task_id
        told = await Asked(here).explainer.job(config().job)
        assert told.waiting[0].status == "THROTTLED"
        assert told.waiting[0].sentences == ("Ended too soon, again and again: the next attempt comes in 30 s.",)


async def test_a_creation_that_fits_is_planned_and_leaves_no_trace(autojump_clock: MockClock) -> None:
    async with world(Agent("a1", cpus=4), Agent("a2", cpus=4)).running() as here:
        await trio.sleep(1)
        entries = len(here.log.entries)
        plan = await Asked(here).plans.plan(creation(owned(config(cpus=1)), 4), "alice")
        assert plan.code == "OK"
        assert plan.sentences == (
            "www-data/prod/web would be created with 4 instances.",
            "All 4 fit now, on 2 hosts.",
        )
        assert plan.changes == {"add": "0-3"}
        assert plan.fit == Fit(4, 4, 2)
        assert not here.tasks()
        await trio.sleep(5)
        assert len(here.log.entries) == entries


async def test_a_creation_that_does_not_fit_whole_tells_why(autojump_clock: MockClock) -> None:
    async with world(Agent("a1", cpus=4), Agent("a2", cpus=4)).running() as here:
        await trio.sleep(1)
        plan = await Asked(here).plans.plan(creation(owned(config(constraints=(limit("host", 1),))), 3), "alice")
        assert plan.code == "OK"
        plan_2 = await Asked(here).plans.plan(creation(owned(config(cpus=3)), 3), "alice")
        assert plan_2.sentences[1] == "2 of 3 fit now, on 2 hosts; 1 would have to wait."
        assert plan_2.fit is not None
        assert plan_2.fit.explanation is not None
        assert plan_2.fit.explanation.reasons[0].reason == "Insufficient: CPU"


@pytest.mark.parametrize(
    ("task", "code", "text"),
    [
        (owned(config(), tier="preferred", production=True), "INVALID_REQUEST", "Insufficient resource quota: CPU"),
        (owned(config(cpus=-1)), "INVALID_REQUEST", "num_cpus must be greater than 0.0"),
    ],
)
async def test_what_would_be_refused_is_refused_in_the_same_words(
    task: TaskConfig, code: str, text: str, autojump_clock: MockClock
) -> None:
    async with world(Agent("a1")).running() as here:
        plan = await Asked(here).plans.plan(creation(task, 1), "alice")
        assert plan.code == code
        assert plan.sentences[0].startswith(text)
        assert plan.fit is None


async def test_a_job_that_exists_cannot_be_planned_again(autojump_clock: MockClock) -> None:
    async with world(Agent("a1")).running() as here:
        await here.create(config())
        plan = await Asked(here).plans.plan(creation(owned(config()), 1), "alice")
        assert plan.sentences == ("Job www-data/prod/web already exists",)


async def test_an_update_is_planned_with_the_room_that_it_makes_itself(autojump_clock: MockClock) -> None:
    async with world(Agent("a1", cpus=3.5), Agent("a2", cpus=3.5)).running() as here:
        old, new = owned(config(cpus=3)), owned(config(cpus=3.25))
        await here.create(old, 2)
        await here.until_count(T.RUNNING, 2)
        plan = await Asked(here).plans.plan(change(new, 2), "alice")
        assert plan.sentences == ("www-data/prod/web would be updated: update 0-1.", "All 2 fit now, on 2 hosts.")
        more = await Asked(here).plans.plan(change(new, 3), "alice")
        assert more.changes == {"add": "2", "update": "0-1"}
        assert more.fit is not None
        assert (more.fit.instances, more.fit.fitting) == (3, 2)
        fewer = await Asked(here).plans.plan(change(old, 1), "alice")
        assert fewer.sentences == ("www-data/prod/web would be updated: remove 1; unchanged 0.",)
        assert not here.tables.updates


async def test_an_update_that_changes_nothing_says_so(autojump_clock: MockClock) -> None:
    async with world(Agent("a1")).running() as here:
        task = owned(config())
        await here.create(task)
        plan = await Asked(here).plans.plan(change(task, 1), "alice")
        assert plan.sentences == ("Job is unchanged by proposed update.",)


async def test_an_update_beside_another_is_refused_and_explained(autojump_clock: MockClock) -> None:
    async with world(Agent("a1")).running() as here:
        await here.create(owned(config()), 1)
        await here.until_count(T.RUNNING, 1)
        asked = Asked(here)
        order = change(owned(config(cpus=1)), 1)
        admitted = asked.updates.admitted(order)
        update = asked.updates.proposed(here.tables, admitted, asked.updates.changes(here.tables, admitted), "alice")
        assert update is not None
        await here.storage.write(lambda tx: asked.updater.start(tx, update, "alice", None))
        plan = await asked.plans.plan(order, "alice")
        assert plan.code == "INVALID_REQUEST"
        assert plan.sentences[0].startswith("An active update already exists for this job")
        told = await asked.explainer.job(config().job)
        assert told.update == (
            f"Update {update.summary.key.id} is ROLLING_FORWARD.",
            "It is about to begin its next instances.",
        )


async def test_other_calls_cannot_be_planned(autojump_clock: MockClock) -> None:
    async with world(Agent("a1")).running() as here:
        with pytest.raises(ValueError, match="abortJobUpdate cannot be planned: createJob or startJobUpdate"):
            await Asked(here).plans.plan(AbortJobUpdate(None, None), "alice")


async def test_a_constraint_that_nobody_meets_is_explained(autojump_clock: MockClock) -> None:
    agents = [Agent(f"a{i}", attributes=(("rack", f"r{i}"),)) for i in range(3)]
    async with world(*agents).running() as here:
        await trio.sleep(1)
        plan = await Asked(here).plans.plan(creation(owned(config(constraints=(value("rack", "r9"),))), 1), "alice")
        assert plan.sentences[1:] == (
            "1 instance would have to wait.",
            "None of 3 hosts can take one more instance now.",
            "3 hosts do not meet the constraint rack = r9; rack is r0 on one host, r1 on one host and r2 on one host.",
            "Without the constraint rack = r9 an instance would fit on 3 hosts.",
            "No other task may be displaced for it.",
        )
