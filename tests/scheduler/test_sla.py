"""Taking tasks down as promises allow; coordinators are real servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, CoordinatorSlaPolicy, CountSlaPolicy, ScheduledTask, SlaPolicy, TaskEvent
from aurorad.flags import Flags
from aurorad.scheduler.sla import ENDED, Refusals, SlaKills
from aurorad.scheduler.state import StateManager
from aurorad.storage.storage import Storage
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from tests.scheduler.world import SlowLog, config, now_ms
from tests.web_servers import answer, answering, hanging, request, server

S = ScheduleStatus
IDS = ("t0", "t1", "t2", "t3")
KEY = "devcluster/www-data/prod/web/0"
THREE = SlaPolicy(count_sla_policy=CountSlaPolicy(3, 0))


class Job:
    """Four instances that have been running for ten seconds."""

    def __init__(self, timeout_s: float, parallel: int) -> None:
        flags = Flags(
            min_required_instances_for_sla_check=1,
            sla_coordinator_timeout=timeout_s,
            max_parallel_coordinated_maintenance=parallel,
        )
        self.stats = Vars()
        self.log = SlowLog()
        self.storage = Storage(self.log, Tables())
        self.sla = SlaKills(storage=self.storage, flags=flags, stats=self.stats, now_ms=now_ms)
        self._states = StateManager(
            now_ms=now_ms, new_uuid=uuid4, hostname="scheduler-host", flags=flags, stats=self.stats
        )

    async def attempt(self, number: int, policy: SlaPolicy | None, *, force: bool = False) -> str | None:
        return await self.sla.attempt(IDS[number], policy, lambda tx: self._kill(tx, number), force=force)

    def _kill(self, tx: Transaction, number: int) -> None:
        self._states.change_state(tx, IDS[number], S.KILLING, "for a test")

    def killed(self) -> list[str]:
        tasks = [self.storage.tables.task(task_id) for task_id in IDS]
        return [task.assigned_task.task_id for task in tasks if task is not None and task.status is S.KILLING]


@asynccontextmanager
async def running(timeout_s: float = 5.0, parallel: int = 10) -> AsyncIterator[Job]:
    job = Job(timeout_s, parallel)
    production = msgspec.structs.replace(config(), production=True)
    since = now_ms() - 10_000
    events = (TaskEvent(since, S.PENDING), TaskEvent(since, S.RUNNING))
    tasks = [
        ScheduledTask(
            AssignedTask(task_id, "agent-1", "host-1", production, instance_id=number), S.RUNNING, task_events=events
        )
        for number, task_id in enumerate(IDS)
    ]
    async with trio.open_nursery() as nursery:
        await nursery.start(job.storage.run)
        await job.storage.write(lambda tx: tx.save_tasks(*tasks))
        yield job
        nursery.cancel_scope.cancel()


def coordinator(url: str, key: str = "") -> SlaPolicy:
    return SlaPolicy(coordinator_sla_policy=CoordinatorSlaPolicy(url, key))


async def test_the_work_is_done_if_the_promise_allows_it(autojump_clock: MockClock) -> None:
    async with running() as job:
        assert await job.attempt(0, THREE) is None
        objection = "3 of 4 instances must have run for 0 s without it; 2 have"
        assert await job.attempt(1, THREE) == objection
        assert job.killed() == ["t0"]
        assert await job.attempt(2, THREE, force=True) is None
        assert await job.attempt(3, None) is None
        assert job.killed() == ["t0", "t2", "t3"]


async def test_of_two_at_once_that_would_break_a_promise_together_one_passes(autojump_clock: MockClock) -> None:
    async with running() as job:
        job.log.delay_s = 1  # neither is in the log when the other is judged
        objections = []

        async def attempt(number: int) -> None:
            objections.append(await job.attempt(number, THREE))

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(attempt, number)
        assert objections.count(None) == len(job.killed()) == 1


async def test_what_was_refused_to_one_is_refused_to_those_like_it(autojump_clock: MockClock) -> None:
    async with running() as job:
        tables = job.storage.tables
        first, second = tables.task("t0"), tables.task("t1")
        assert first is not None
        assert second is not None
        young = msgspec.structs.replace(second, task_events=(TaskEvent(now_ms() + 60_000, S.RUNNING),))
        await job.storage.write(lambda tx: tx.save_tasks(young))
        refused: Refusals = {}
        objection = job.sla.objection(tables, first, THREE, refused)
        assert objection == "3 of 4 instances must have run for 0 s without it; 2 have"
        assert job.sla.objection(tables, young, THREE, refused) is None  # it is not one of the healthy
        await job.storage.write(lambda tx: tx.save_tasks(second))
        assert job.sla.objection(tables, first, THREE, refused) == objection
        assert job.sla.objection(tables, first, THREE, {}) is None


async def test_what_is_gone_is_not_taken_down(autojump_clock: MockClock) -> None:
    async with running() as job:
        await job.storage.write(lambda tx: tx.remove_tasks(["t0"]))
        for policy in (None, THREE, coordinator("http://127.0.0.1:1/")):
            assert await job.attempt(0, policy) == ENDED
            assert await job.attempt(0, policy, force=True) == ENDED


async def test_a_coordinator_is_told_the_task_and_decides() -> None:
    seen = []

    async def decide(stream: trio.SocketStream) -> None:
        seen.append(await request(stream))
        await stream.send_all(answer(b'{"drain": true, "other": 5}'))

    async with running() as job, server(decide) as url:
        parameters = {"forceMaintenanceCountdownMs": "604755646"}
        policy = coordinator(f"{url}/may-it?x=1")
        assert await job.sla.attempt("t0", policy, lambda tx: job._kill(tx, 0), parameters=parameters) is None
        assert job.killed() == ["t0"]
        assert job.stats.get("sla_coordinator_attempts") == job.stats.get("sla_coordinator_success") == 1
    ((head, body),) = seen
    assert head[0] == f"POST /may-it?x=1&task={KEY} HTTP/1.1"
    question = json.loads(body)
    assert question.keys() == {"task", "taskConfig", "forceMaintenanceCountdownMs"}
    assert question["task"] == KEY
    assert question["forceMaintenanceCountdownMs"] == "604755646"
    assert question["taskConfig"]["status"] == S.RUNNING.value
    assigned = question["taskConfig"]["assignedTask"]
    assert (assigned["taskId"], assigned["instanceId"], assigned["slaveHost"]) == ("t0", 0, "host-1")
    assert assigned["task"]["job"] == {"role": "www-data", "environment": "prod", "name": "web"}


NO_VERDICT = "its SLA coordinator's answer is no JSON object with true or false as 'drain'"


@pytest.mark.parametrize(
    ("said", "objection", "counted"),
    [
        (answer(b'{"drain": false}'), "its SLA coordinator says no", "success"),
        (answer(b'{"drain": true}', 201), "answers with HTTP status 201, not 200", "user_errors"),
        (answer(b"", 500), "answers with HTTP status 500, not 200", "user_errors"),
        (answer(b'{"Drain": true}'), NO_VERDICT, "user_errors"),
        (answer(b'{"drain": "true"}'), NO_VERDICT, "user_errors"),
        (answer(b'{"drain": 1}'), NO_VERDICT, "user_errors"),
        (answer(b"[true]"), NO_VERDICT, "user_errors"),
        (answer(b"true"), NO_VERDICT, "user_errors"),
        (answer(b"[" * 50_000), NO_VERDICT, "user_errors"),
        (answer(b"\xff\xfe"), NO_VERDICT, "user_errors"),
        (answer(b" " * 100_000), "answers more than 65536 bytes", "errors"),
        (b"HTTP/1.1 302 Go\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "status 302, not 200", "user_errors"),
        (b"what?\r\n\r\n", "does not speak HTTP properly", "errors"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "does not speak HTTP properly", "errors"),
        (b"", "does not speak HTTP properly", "errors"),
    ],
)
async def test_anything_but_yes_is_no(said: bytes, objection: str, counted: str) -> None:
    async with running() as job, server(answering(said)) as url:
        assert objection in str(await job.attempt(0, coordinator(url)))
        assert job.killed() == []
        assert job.stats.get(f"sla_coordinator_{counted}") == 1
        if counted != "success":
            assert job.stats.get(f"sla_coordinator_{counted}_{KEY}") == 1


async def test_the_verdict_is_where_the_policy_says() -> None:
    async with running() as job, server(answering(answer(b'{"drain": false, "go": true}'))) as url:
        assert await job.attempt(0, coordinator(url, "go")) is None


async def test_a_coordinator_that_died_or_never_was_is_an_error() -> None:
    async with server(hanging) as url:
        dead = url
    async with running() as job:
        for wrong in (dead, "ftp://127.0.0.1/", "file:///etc/passwd", "nonsense"):
            assert "its SLA coordinator gives no answer" in str(await job.attempt(0, coordinator(wrong)))
        assert job.stats.get("sla_coordinator_errors") == 4
        assert job.killed() == []


async def test_a_coordinator_that_hangs_is_given_up_and_others_are_not_kept_waiting() -> None:
    objections: list[str | None] = []
    async with (
        running(timeout_s=0.3) as job,
        server(hanging) as silent,
        server(answering(answer(b'{"drain": true}'))) as good,
    ):

        async def attempt(number: int, url: str) -> None:
            objections.append(await job.attempt(number, coordinator(url)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(attempt, 0, silent)
            await wait_all_tasks_blocked()
            nursery.start_soon(attempt, 2, silent)
            assert await job.attempt(1, coordinator(good)) is None
            assert not objections
        assert job.killed() == ["t1"]
        assert any("no answer from 127.0.0.1" in str(objection) for objection in objections)


async def test_a_coordinator_is_asked_one_question_at_a_time() -> None:
    open_now = most = 0

    async def slowly(stream: trio.SocketStream) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await request(stream)
        await trio.sleep(0.02)
        open_now -= 1
        await stream.send_all(answer(b'{"drain": true}'))

    async with running() as job, server(slowly) as url:
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(job.attempt, number, coordinator(url))
        assert job.killed() == list(IDS)
        assert most == 1
        assert not job.sla._coordinators._lines


async def test_all_coordinators_together_are_asked_only_so_many_questions() -> None:
    release, two = trio.Event(), trio.Event()
    connections = 0

    async def wait(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        if connections == 2:
            two.set()
        await request(stream)
        await release.wait()
        await stream.send_all(answer(b'{"drain": true}'))

    async with running(parallel=2) as job, server(wait) as url, trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(job.attempt, number, coordinator(f"{url}/{number}"))
        await two.wait()
        await wait_all_tasks_blocked(0.05)
        assert connections == 2
        release.set()


async def test_who_waits_too_long_for_a_busy_coordinator_is_refused() -> None:
    async with (
        running(timeout_s=0.2) as job,
        server(hanging) as url,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(job.attempt, 0, coordinator(url))
        await wait_all_tasks_blocked()
        job.sla._coordinators._timeout_s = 0.05
        assert await job.attempt(1, coordinator(url)) == "its SLA coordinator is busy with other tasks"
        assert job.stats.get("sla_coordinator_lock_starvation") == 1
        assert job.stats.get(f"sla_coordinator_lock_starvation_{KEY[:-1]}1") == 1
        nursery.cancel_scope.cancel()


async def test_force_asks_nobody(autojump_clock: MockClock) -> None:
    async with running() as job:
        assert await job.attempt(0, coordinator("http://127.0.0.1:1/"), force=True) is None
        assert job.killed() == ["t0"]
        assert job.stats.get("sla_coordinator_attempts") == 0


async def test_a_task_that_ends_while_its_coordinator_thinks_is_left_alone() -> None:
    async with running() as job:

        async def remove(stream: trio.SocketStream) -> None:
            await request(stream)
            await job.storage.write(lambda tx: tx.remove_tasks(["t0"]))
            await stream.send_all(answer(b'{"drain": true}'))

        async with server(remove) as url:
            assert await job.attempt(0, coordinator(url)) == ENDED


async def test_a_question_may_be_cancelled() -> None:
    async with running() as job, server(hanging) as url:
        with trio.move_on_after(0.05) as scope:
            await job.attempt(0, coordinator(url))
        assert scope.cancelled_caught
        assert not job.sla._coordinators._lines
