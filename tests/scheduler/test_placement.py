"""Who lands where, when, and why not."""

from __future__ import annotations

import itertools
import random
from functools import partial

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from aurorad.api.enums import MaintenanceMode, ScheduleStatus
from aurorad.api.tasks import HostAttributes, TaskConfig
from aurorad.engine.base import TaskState
from aurorad.flags import Flags
from tests.scheduler.pretend_engine import Agent, PretendEngine, attributes_of
from tests.scheduler.world import World, config, limit, story, value

S = ScheduleStatus


def hosts_of(world: World, name: str) -> list[str]:
    return sorted(
        task.assigned_task.slave_host or ""
        for task in world.tasks()
        if task.assigned_task.task.job.name == name and task.status is S.RUNNING
    )


def four_agents() -> PretendEngine:
    return PretendEngine(
        Agent("host-1", attributes=(("rack", "r1"), ("zone", "z1"))),
        Agent("host-2", attributes=(("rack", "r2"), ("zone", "z0"))),
        Agent("host-3", attributes=(("rack", "r0"), ("zone", "z1"))),
        Agent("host-4", attributes=(("rack", "r1"), ("zone", "z0"))),
    )


async def test_constraints_say_who_lands_where(autojump_clock: MockClock) -> None:
    async with World(four_agents()).running() as world:
        await world.create(config(name="neg", constraints=(value("host", "host-1", "host-2", negated=True),)), 5)
        await world.create(config(name="val", constraints=(value("host", "host-2"),)), 3)
        await world.create(config(name="spread", constraints=(limit("host", 1),)), 4)
        await world.create(config(name="zone", constraints=(limit("zone", 1),)), 2)
        await world.until_count(S.RUNNING, 14)
        assert set(hosts_of(world, "neg")) <= {"host-3", "host-4"}
        assert hosts_of(world, "val") == ["host-2"] * 3
        assert hosts_of(world, "spread") == ["host-1", "host-2", "host-3", "host-4"]
        assert [int(host[-1]) % 2 for host in sorted(hosts_of(world, "zone"), key=lambda h: int(h[-1]) % 2)] == [0, 1]


async def test_a_limit_is_never_overshot_within_a_round(autojump_clock: MockClock) -> None:
    async with World(four_agents()).running() as world:
        ids = await world.create(config(constraints=(limit("rack", 1),)), 5)
        await world.until_count(S.RUNNING, 3)
        await trio.sleep(100)
        assert world.tables.count(S.RUNNING) == 3
        waiting = [world.task(task_id) for task_id in ids if world.task(task_id).status is S.PENDING]
        assert [world.scheduler.pending_reason(task) for task in waiting] == ["Limit not satisfied: rack"] * 2


async def test_a_place_freed_under_a_limit_is_taken_at_once(autojump_clock: MockClock) -> None:
    async with World(four_agents()).running() as world:
        ids = await world.create(config(constraints=(limit("rack", 1),), service=False), 4)
        await world.until_count(S.RUNNING, 3)
        await trio.sleep(100)
        running = next(task_id for task_id in ids if world.task(task_id).status is S.RUNNING)
        await world.kill(running)
        await world.until_status(running, S.KILLED)
        with trio.fail_after(0.4):  # the next retry is many seconds away
            await world.until_count(S.RUNNING, 3)


async def test_the_tasks_of_a_job_spread_over_the_hosts_there_are(autojump_clock: MockClock) -> None:
    async with World(four_agents()).running() as world:
        await world.create(config(), 4)
        await world.until_count(S.RUNNING, 4)
        assert hosts_of(world, "web") == ["host-1", "host-2", "host-3", "host-4"]


async def test_one_offer_takes_as_many_tasks_as_fit(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", cpus=8))).running() as world:
        await world.create(config(cpus=0.75), 8)
        await world.until_count(S.RUNNING, 8)
        assert len(world.engine.launches) == 1


async def test_a_task_fits_that_takes_all_there_is(autojump_clock: MockClock) -> None:
    engine = PretendEngine(Agent("host-1", cpus=1.25, mem=129, disk=8))
    async with World(engine).running() as world:
        await world.create(config(cpus=1, ram_mb=1, disk_mb=8))
        await world.until_count(S.RUNNING, 1)


async def test_a_task_is_assigned_within_milliseconds(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        await trio.sleep(1)
        for _ in range(3):
            (task_id,) = await world.create(config(name=f"job-{_}"))
            with trio.fail_after(0.01):
                await world.until_status(task_id, S.ASSIGNED)
            await trio.sleep(1)


async def test_why_tasks_wait(autojump_clock: MockClock) -> None:
    dedicated = Agent("host-9", cpus=16, mem=65536, disk=500000, attributes=(("dedicated", "stores/disk"),))
    engine = PretendEngine(*[Agent(f"host-{n}", attributes=(("rack", f"r{n % 3}"),)) for n in range(8)], dedicated)
    async with World(engine).running() as world:
        jobs = {
            "cpu": config(cpus=100, name="cpu"),
            "ram": config(ram_mb=1000000, name="ram"),
            "disk": config(disk_mb=100000000, name="disk"),
            "both": config(cpus=100, ram_mb=1000000, name="both"),
            "rack": config(constraints=(value("rack", "nowhere"),), name="rack"),
            "colour": config(constraints=(value("colour", "red"),), name="colour"),
        }
        ids = {name: (await world.create(job))[0] for name, job in jobs.items()}
        await trio.sleep(0.1)
        assert {name: world.scheduler.pending_reason(world.task(task_id)) for name, task_id in ids.items()} == {
            "cpu": "Insufficient: CPU",
            "ram": "Insufficient: RAM",
            "disk": "Insufficient: disk",
            "both": "Insufficient: CPU,Insufficient: RAM",
            "rack": "Constraint not satisfied: rack",
            "colour": "Constraint not satisfied: colour",
        }
        group = next(group for group in world.scheduler.pending_groups() if group.name == "www-data/prod/both")
        assert group.task_ids == (ids["both"],)
        assert group.reasons == ("Insufficient: CPU", "Insufficient: RAM")
        assert group.penalty_ms >= 1000
        evaluated = world.stats.get("veto_evaluated_offers")
        assert evaluated == 6 * 9
        await trio.sleep(200)
        assert world.stats.get("veto_evaluated_offers") == evaluated, "nobody changed, nobody was asked again"
        assert world.scheduler.pending_reason(world.task(ids["cpu"])) == "Insufficient: CPU"


async def test_a_new_agent_is_used_at_once_by_who_waits_for_it(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("small", cpus=1))).running() as world:
        (task_id,) = await world.create(config(cpus=8))
        await trio.sleep(500)
        assert world.scheduler.pending_reason(world.task(task_id)) == "Insufficient: CPU"
        world.engine.add(Agent("large", cpus=9))
        with trio.fail_after(0.02):
            await world.until_status(task_id, S.ASSIGNED)
        assert world.task(task_id).assigned_task.slave_host == "large"


async def test_freed_resources_are_used_at_once_in_order_of_arrival(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", cpus=1))).running() as world:
        first, second, third = await world.create(config(cpus=0.75, service=False), 3)
        await world.until_status(first, S.RUNNING)
        await trio.sleep(100)
        await world.kill(first)
        await world.until_status(first, S.KILLED)
        with trio.fail_after(0.02):
            await world.until_status(second, S.ASSIGNED)
        assert world.task(third).status is S.PENDING


async def test_hosts_in_maintenance_are_not_used_and_announced_ones_come_last(autojump_clock: MockClock) -> None:
    engine = PretendEngine(Agent("draining"), Agent("scheduled"), Agent("free", cpus=2))
    async with World(engine).serving() as world:

        def set_mode(host: str, mode: MaintenanceMode) -> HostAttributes:
            return HostAttributes(host, attributes_of(engine.agents[f"agent-of-{host}"]), mode, f"agent-of-{host}")

        await world.storage.write(
            lambda tx: (
                tx.save_host_attributes(set_mode("draining", MaintenanceMode.DRAINING)),
                tx.save_host_attributes(set_mode("scheduled", MaintenanceMode.SCHEDULED)),
            )
        )
        await world.start()
        await trio.sleep(1)
        assert [held.offer.hostname for held in world.scheduler.offers.ordered()] == ["free", "scheduled", "draining"]
        await world.create(config(cpus=1), 1)
        await world.until_count(S.RUNNING, 1)
        assert hosts_of(world, "web") == ["free"]
        (waits,) = await world.create(config(name="other", constraints=(value("host", "draining"),)))
        await trio.sleep(1)
        assert world.task(waits).status is S.PENDING
        assert world.stats.get("scheduling_veto_maintenance") == 1
        await world.storage.write(lambda tx: tx.save_host_attributes(set_mode("draining", MaintenanceMode.NONE)))
        await world.until_status(waits, S.RUNNING)


async def test_an_offer_that_goes_while_the_log_is_written_costs_the_task_but_not_the_job(
    autojump_clock: MockClock,
) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        await trio.sleep(1)
        world.log.delay_s = 1
        (task_id,) = await world.create(config())
        await trio.sleep(0.5)
        assert world.task(task_id).status is S.ASSIGNED
        world.engine.rescind_all(refuse_s=10)
        lost = await world.until_status(task_id, S.LOST)
        assert story(lost)[-1] == (S.LOST, "Unknown exception attempting to schedule task.")
        successor = await world.until_successor(task_id)
        await world.until_status(successor.assigned_task.task_id, S.RUNNING)
        assert world.stats.get("assigner_launch_failures") == 1
        assert world.stats.get("offer_accept_races") == 1


async def test_an_offer_that_is_replaced_while_the_log_is_written_costs_nothing(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", cpus=2))).running() as world:
        (first,) = await world.create(config(cpus=0.75, service=False))
        await world.until_status(first, S.RUNNING)
        await trio.sleep(1)
        world.log.delay_s = 1
        (second,) = await world.create(config(cpus=0.75, ports=("http",), name="other"))
        await trio.sleep(0.5)
        assert world.task(second).status is S.ASSIGNED
        world.engine.status(first, TaskState.TASK_FINISHED)
        world.engine.rescind_all()
        await world.until_status(second, S.RUNNING)
        assert [status for status, _ in story(world.task(second))] == [S.PENDING, S.ASSIGNED, S.STARTING, S.RUNNING]


async def test_a_task_killed_before_its_launch_is_not_launched(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        await trio.sleep(1)
        world.log.delay_s = 1
        first, second = await world.create(config(service=False), 2)
        await trio.sleep(0.5)
        assert world.task(first).status is S.ASSIGNED
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.kill, first)
            await world.until_status(second, S.RUNNING)
        assert first not in world.engine.tasks
        await world.until_status(first, S.LOST)
        await trio.sleep(10)
        assert set(world.engine.live_tasks()) == {second}


async def test_a_task_killed_while_its_offer_is_replaced_is_not_launched(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        await trio.sleep(1)
        world.log.delay_s = 1
        (task_id,) = await world.create(config(service=False))
        await trio.sleep(0.5)
        assert world.task(task_id).status is S.ASSIGNED
        world.engine.rescind_all(refuse_s=0.9)  # it is missed when the log has the task, and comes back soon after
        await trio.sleep(0.7)
        world.log.delay_s = 0.01
        await world.kill(task_id)
        await world.until_status(task_id, S.LOST)
        await trio.sleep(10)
        assert task_id not in world.engine.tasks


async def test_an_offer_claimed_for_a_task_that_was_killed_goes_to_the_next_at_once(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", cpus=1))).running() as world:
        await trio.sleep(1)
        world.log.delay_s = 1
        first, second = await world.create(config(cpus=0.75, service=False), 2)
        await trio.sleep(0.5)
        assert world.task(first).status is S.ASSIGNED
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.kill, first)
            with trio.fail_after(2):
                await world.until_status(second, S.ASSIGNED)


async def test_two_offers_of_an_agent_become_one(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", cpus=2))).running() as world:
        first, second = await world.create(config(cpus=0.75, service=False), 2)
        await world.until_count(S.RUNNING, 2)
        (large,) = await world.create(config(cpus=1.75, name="large"))
        await world.kill(first)
        await world.until_status(first, S.KILLED)
        await trio.sleep(1)
        await world.kill(second)
        await world.until_status(large, S.RUNNING)


async def test_offers_are_given_back_and_come_again(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1"))).running() as world:
        await world.create(config(cpus=1000))
        await trio.sleep(361)
        assert world.engine.declined == [("offer-1", 5.0)]
        await trio.sleep(5)
        assert [held.offer.id for held in world.scheduler.offers.ordered()] == ["offer-2"]


async def test_offers_are_held_for_ever_if_told_so(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1")), Flags(hold_offers_forever=True)).running() as world:
        await trio.sleep(80000)
        assert not world.engine.declined


async def test_many_jobs_at_once_take_turns(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", cpus=30))).serving() as world:
        for name in ("a", "b", "c"):
            await world.create(config(cpus=0.75, name=name), 100)
        await world.start()
        await trio.sleep(10)
        assert world.tables.count(S.RUNNING) == 30
        assert {name: len(hosts_of(world, name)) for name in ("a", "b", "c")} == {"a": 10, "b": 10, "c": 10}


async def test_who_came_first_is_placed_first_by_a_scheduler_that_finds_them_waiting(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", cpus=2))).serving() as world:
        ids: list[str] = []
        for instance, unique in enumerate((0x1001, 0x1002, 0x2001)):  # by their ends, the last is next to the first
            world.uuids = itertools.count(unique)
            insert = partial(world.scheduler.states.insert_pending, config=config(cpus=0.75), instance_ids=[instance])
            ids += await world.storage.write(insert)
        await world.start()
        await world.until_count(S.RUNNING, 2)
        assert [world.task(task_id).status for task_id in ids] == [S.RUNNING, S.RUNNING, S.PENDING]


SIZES = st.sampled_from([0.1, 0.25, 0.5, 1.0, 1.7, 3.0])
JOBS = st.lists(
    st.tuples(SIZES, st.integers(1, 6), st.sampled_from([(), ("http",), ("http", "admin")]), st.booleans()),
    min_size=1,
    max_size=6,
)
AGENTS = st.lists(
    st.tuples(st.sampled_from([0.5, 1.0, 2.0, 4.25]), st.sampled_from([1, 3, 40])), min_size=1, max_size=5
)


@settings(max_examples=60)
@given(jobs=JOBS, agents=AGENTS, seed=st.integers(0, 2**32))
def test_no_agent_is_ever_oversubscribed_and_nothing_that_fits_waits(
    jobs: list[tuple[float, int, tuple[str, ...], bool]], agents: list[tuple[float, int]], seed: int
) -> None:
    """The pretended agents keep the accounts: they fail the test when more is launched than they have."""
    rng = random.Random(seed)
    engine = PretendEngine(
        *[
            Agent(f"host-{n}", cpus, mem=4000, ports=(31000, 31000 + count - 1))
            for n, (cpus, count) in enumerate(agents)
        ]
    )

    async def live() -> None:
        async with World(engine, seed=seed).running() as world:
            configs: list[TaskConfig] = []
            for number, (cpus, instances, ports, spread) in enumerate(jobs):
                constraints = (limit("host", 1),) if spread else ()
                configs.append(config(cpus, 100, name=f"job-{number}", ports=ports, constraints=constraints))
                await world.create(configs[-1], instances)
                await trio.sleep(rng.choice([0, 0.001, 0.2]))
                running = [task for task in world.tasks() if task.status is S.RUNNING]
                if running and rng.random() < 0.5:
                    await world.kill(rng.choice(running).assigned_task.task_id)
                if rng.random() < 0.1:
                    engine.disconnect()
            await trio.sleep(500)
            assert world.tables.count(S.RUNNING) == len(engine.live_tasks())
            for task in world.tasks():
                if task.status is S.PENDING:
                    assert not fits_anywhere(world, task.assigned_task.task)

    trio.run(live, clock=MockClock(autojump_threshold=0))


def fits_anywhere(world: World, wanted: TaskConfig) -> bool:
    """Whether an agent has room by its own accounts."""
    cpus = next(r.num_cpus for r in wanted.resources if r.num_cpus is not None)
    ports = sum(r.named_port is not None for r in wanted.resources)
    taken = {
        task.assigned_task.slave_id
        for task in world.tasks()
        if task.assigned_task.task.job == wanted.job and task.status is S.RUNNING and wanted.constraints
    }
    world.engine.offers.clear()  # else what is offered is not free
    return any(
        world.engine.free(agent).scalars["cpus"] >= round((cpus + 0.25) * 1000)
        and len(world.engine.free(agent).ports) >= ports
        and world.engine.free(agent).scalars["mem"] >= 228_000
        for agent in world.engine.agents
        if agent not in taken
    )


async def test_everybody_who_waits_for_the_same_is_served_as_offers_come(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("small", cpus=1))).running() as world:
        for number in range(100):
            await world.create(config(cpus=2, name=f"job-{number}"))
        await trio.sleep(1000)
        assert world.tables.count(S.PENDING) == 100
        world.engine.add(Agent("large", cpus=90, mem=1 << 20))
        with trio.fail_after(2):  # the next retries are up to a minute away
            await world.until_count(S.RUNNING, 40)
        world.engine.add(Agent("larger", cpus=900, mem=1 << 20))
        with trio.fail_after(2):
            await world.until_count(S.RUNNING, 100)


async def test_an_offer_that_woke_somebody_who_is_killed_serves_the_next(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("small", cpus=1)), Flags(first_schedule_delay=1.0)).running() as world:
        ids = [(await world.create(config(cpus=2, name=f"job-{number}")))[0] for number in range(30)]
        await trio.sleep(1000)
        world.engine.add(Agent("large", cpus=9))
        await trio.sleep(0.5)  # the first have been woken, and not tried yet
        for task_id in ids[:20]:
            await world.kill(task_id)
        with trio.fail_after(3):
            await world.until_count(S.RUNNING, 4)


async def test_attempts_are_as_many_a_second_as_allowed(autojump_clock: MockClock) -> None:
    flags = Flags(max_schedule_attempts_per_sec=2.0, max_tasks_per_schedule_attempt=1)
    async with World(PretendEngine(Agent("host-1")), flags).running() as world:
        await world.create(config(), 10)
        await trio.sleep(2.9)
        assert len(world.engine.tasks) < 10
        await world.until_count(S.RUNNING, 10)
        assert int(world.stats.get("schedule_attempts_blocks")) > 0


async def test_writes_hold_as_many_attempts_as_allowed(autojump_clock: MockClock) -> None:
    flags = Flags(scheduling_max_batch_size=1, max_tasks_per_schedule_attempt=2)
    async with World(PretendEngine(Agent("host-1")), flags).running() as world:
        await world.create(config(), 10)
        await world.until_count(S.RUNNING, 10)
        assert [len(tasks) for tasks in world.engine.launches] == [2] * 5


async def test_the_fullest_hosts_are_filled_first_if_told_so(autojump_clock: MockClock) -> None:
    engine = PretendEngine(Agent("host-1", cpus=8), Agent("host-2", cpus=3), Agent("host-3", cpus=5))
    async with World(engine, Flags(offer_order=("CPU", "RANDOM"))).running() as world:
        await trio.sleep(1)
        for number in range(4):
            await world.create(config(cpus=0.75, name=f"job-{number}"))
            await world.until_count(S.RUNNING, number + 1)
        assert [hosts_of(world, f"job-{number}") for number in range(4)] == [["host-2"]] * 3 + [["host-3"]]


async def test_an_offer_without_cpus_or_memory_is_no_reason(autojump_clock: MockClock) -> None:
    async with World(PretendEngine(Agent("host-1", mem=0))).running() as world:
        (task_id,) = await world.create(config())
        await trio.sleep(1)
        assert world.scheduler.pending_reason(world.task(task_id)) == ""
