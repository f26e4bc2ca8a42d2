"""The people and scripts that use the API. A new thing that they can do is one function in `ACTIONS`."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio

from aurorad.api import calls
from aurorad.api.enums import CronCollisionPolicy, JobUpdateStatus, MaintenanceMode, ResponseCode
from aurorad.api.results import Response
from aurorad.api.tasks import (
    CountSlaPolicy,
    ExplicitReconciliationSettings,
    Hosts,
    Identity,
    InstanceKey,
    JobConfiguration,
    JobKey,
    Resource,
    ResourceAggregate,
    SlaPolicy,
    TaskQuery,
)
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateKey,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
    VariableBatchJobUpdateStrategy,
)
from aurorad.storage.tables import Table
from tests.simulation import legal
from tests.simulation.jobs import ENVIRONMENT, draw_config
from tests.simulation.ledger import Ledger
from tests.simulation.member import Member
from tests.simulation.node import Node
from tests.simulation.trace import Trace

USER = "UNSECURE"
NOT_YET = "is not supported yet."


class Clients:
    """What they share. `node` is whom they reach, if anybody."""

    def __init__(
        self, rng: random.Random, trace: Trace, ledger: Ledger, node: Callable[[], Node | Member | None], size: int
    ) -> None:
        self.rng = rng
        self.ledger = ledger
        self.most_instances = 3 * size
        self.services = [JobKey(f"role-{n % 2}", ENVIRONMENT, f"service-{n}") for n in range(1 + size)]
        self.batches = [JobKey(f"role-{n % 2}", ENVIRONMENT, f"batch-{n}") for n in range(size)]
        self.crons = [JobKey(f"role-{n % 2}", ENVIRONMENT, f"batch-cron-{n}") for n in range(size)]
        self._trace = trace
        self._node = node

    async def call(self, call: calls.Call, impatient: bool = False) -> Response | None:
        """The answer; None if the scheduler is not there, or went away before it answered."""
        node = self._node()
        if node is None:
            return None
        name = call.method()
        patience_s = self.rng.random() * 0.01 if impatient else 30.0
        with trio.move_on_after(patience_s):
            self._trace("client", f"{name} {_subject(call)}")
            response = await node.call(call, USER)
            if response is None:
                self._trace("client", f"{name} was cut off")
                return None
            text = "; ".join(detail.message or "" for detail in response.details)
            self._trace("client", f"{name} {response.response_code.name} {text}".rstrip())
            if response.response_code is ResponseCode.ERROR and NOT_YET not in text:
                self._trace.violated("no call fails", f"{name}: {text}")
            return response
        if not impatient and not node.is_dead and not self._was_excused(node, patience_s):
            self._trace.violated("every call is answered", name)
        return None

    def _was_excused(self, node: Node | Member, patience_s: float) -> bool:
        """It stood still meanwhile."""
        return isinstance(node, Member) and node.was_frozen(patience_s)

    async def writes(self, call: calls.Call, holds: Callable[[], bool]) -> Response | None:
        """A call that, if it is answered OK, has done something that the log holds by then: so that `holds`."""
        response = await self.call(call, impatient=self.rng.random() < 0.05)
        if response is not None and response.response_code is ResponseCode.OK and not holds():
            self._trace.violated("log before answer", f"{call.method()} {_subject(call)}")
        return response

    def active_ids(self, job: JobKey) -> list[str]:
        return [task.assigned_task.task_id for task in self.ledger.job(job) if task.status in legal.ACTIVE]

    def is_stopped(self, task_id: str, by: legal.S) -> bool:
        task = self.ledger.tasks.get(task_id)
        return task is None or task.status in legal.ENDED or any(event.status is by for event in task.task_events)

    def update(self, *statuses: JobUpdateStatus) -> JobUpdateKey | None:
        """One of the updates in these states, or of all that are not over."""
        found = [
            key
            for key, details in self.ledger.updates.items()
            if (details.update_events[-1].status in statuses)
            or (not statuses and details.update_events[-1].status not in legal.ENDED_UPDATES)
        ]
        return self.rng.choice(found) if found else None


Action = Callable[[Clients], Awaitable[object]]


async def create(clients: Clients) -> None:
    service = clients.rng.random() < 0.7
    job = clients.rng.choice(clients.services if service else clients.batches)
    count = clients.rng.randint(1, clients.most_instances)
    config = draw_config(clients.rng, job, service=service, count=count, doomed=clients.rng.random() < 0.05)
    description = JobConfiguration(key=job, owner=Identity("somebody"), task_config=config, instance_count=count)
    born = clients.ledger.born.get(job, 0)
    await clients.writes(calls.CreateJob(description), lambda: clients.ledger.born.get(job, 0) >= born + count)


async def add(clients: Clients) -> None:
    job = clients.rng.choice(clients.services)
    active = [t.assigned_task.instance_id for t in clients.ledger.job(job) if t.status in legal.ACTIVE]
    key = InstanceKey(job, clients.rng.choice(active) if active else 0)
    before = set(clients.active_ids(job))
    await clients.writes(
        calls.AddInstances(key, 1),
        lambda: any(task.assigned_task.task_id not in before for task in clients.ledger.job(job)),
    )


async def kill(clients: Clients) -> None:
    job = clients.rng.choice([*clients.services, *clients.batches, *clients.crons])
    instances = frozenset({clients.rng.randrange(3)}) if clients.rng.random() < 0.6 else frozenset[int]()
    meant = [
        task.assigned_task.task_id
        for task in clients.ledger.job(job)
        if task.status in legal.ACTIVE and (not instances or task.assigned_task.instance_id in instances)
    ]
    await clients.writes(
        calls.KillTasks(job, instances, "no more of it"),
        lambda: all(clients.is_stopped(task_id, legal.S.KILLING) for task_id in meant),
    )


async def restart(clients: Clients) -> None:
    job = clients.rng.choice(clients.services)
    active = {t.assigned_task.instance_id: t for t in clients.ledger.job(job) if t.status in legal.ACTIVE}
    chosen = frozenset(clients.rng.sample(sorted(active), min(len(active), clients.rng.randint(1, 2))))
    if not chosen:
        return
    on_agent = [active[i].assigned_task.task_id for i in sorted(chosen) if active[i].status in legal.ON_AGENT]

    def holds() -> bool:
        killed = [clients.is_stopped(task_id, legal.S.KILLING) for task_id in on_agent]
        restarted = [clients.is_stopped(task_id, legal.S.RESTARTING) for task_id in on_agent]
        others = (legal.S.PREEMPTING, legal.S.DRAINING)
        busy = [any(clients.is_stopped(task_id, other) for other in others) for task_id in on_agent]
        return all(map(any, zip(killed, restarted, busy, strict=True)))

    await clients.writes(calls.RestartShards(job, chosen), holds)


def _strategy(rng: random.Random) -> JobUpdateStrategy:
    size, pauses = rng.randint(1, 3), rng.random() < 0.3
    kinds = (
        JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(size)),
        JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(size, pauses)),
        JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy((1, size), pauses)),
    )
    return rng.choice(kinds)


async def update(clients: Clients) -> None:
    await _update(clients, is_doomed=clients.rng.random() < 0.35)


async def roll_out_what_fails(clients: Clients) -> None:
    await _update(clients, is_doomed=True)


async def _update(clients: Clients, is_doomed: bool) -> None:
    rng = clients.rng
    job = rng.choice(clients.services)
    count = rng.randint(1, clients.most_instances)
    config = draw_config(rng, job, service=True, count=count, doomed=is_doomed)
    settings = JobUpdateSettings(
        max_per_instance_failures=rng.randrange(2),
        max_failed_instances=rng.randrange(3),
        min_wait_in_instance_running_ms=rng.choice((0, 1000, 3000)),
        rollback_on_failure=rng.random() < 0.7,
        sla_aware=config.sla_policy is not None and rng.random() < 0.5,
        block_if_no_pulses_after_ms=rng.choice((0, 0, 0, 15_000)),
        update_strategy=_strategy(rng),
    )
    known = set(clients.ledger.updates)
    request = JobUpdateRequest(config, count, settings)
    await clients.writes(
        calls.StartJobUpdate(request, "a new version"),
        lambda: bool(set(clients.ledger.updates) - known),
    )


async def _control(clients: Clients, call: type[calls.ManagerCall], *meant: JobUpdateStatus) -> None:
    key = clients.update()
    if key is not None:
        number = len(clients.ledger.updates[key].update_events)

        def holds() -> bool:
            events = clients.ledger.updates[key].update_events
            return any(event.status in meant for event in events[number - 1 :])

        await clients.writes(call(key, "as it is"), holds)


async def pause(clients: Clients) -> None:
    status = JobUpdateStatus
    await _control(clients, calls.PauseJobUpdate, status.ROLL_FORWARD_PAUSED, status.ROLL_BACK_PAUSED)


async def resume(clients: Clients) -> None:
    await _control(clients, calls.ResumeJobUpdate, *JobUpdateStatus)


async def abort(clients: Clients) -> None:
    await _control(clients, calls.AbortJobUpdate, JobUpdateStatus.ABORTED)


async def roll_back(clients: Clients) -> None:
    await _control(clients, calls.RollbackJobUpdate, JobUpdateStatus.ROLLING_BACK)


async def pulse(clients: Clients) -> None:
    key = clients.update()
    if key is not None:
        await clients.call(calls.PulseJobUpdate(key))


async def look(clients: Clients) -> None:
    """What is answered is in the log, and was the truth at a moment between the question and the answer."""
    job = clients.rng.choice(clients.services)
    asked = clients.ledger.history.now
    response = await clients.call(calls.GetTasksStatus(TaskQuery(job_keys=frozenset({job}))))
    if response is None or response.result is None or response.result.schedule_status_result is None:
        return
    tasks = response.result.schedule_status_result.tasks
    for task in tasks:
        if task not in clients.ledger.versions.get(task.assigned_task.task_id, ()):
            clients._trace.violated("log before answer", f"{task.assigned_task.task_id} was shown {task.status.name}")
    shown = {task.assigned_task.task_id: task for task in tasks}
    if all(shown != state for state in clients.ledger.history.since(job, asked)):
        states = {task_id: task.status.name for task_id, task in shown.items()}
        clients._trace.violated("linearizable", f"{job.name} was shown as {states}")


async def look_often(clients: Clients) -> None:
    for _ in range(20):
        await look(clients)
        await trio.sleep(clients.rng.random())


async def set_quota(clients: Clients) -> None:
    cpus, ram_mb, disk_mb = clients.rng.choice(
        ((2.0, 1024, 500), (5.0, 4096, 2000), (50.0, 65536, 65536), (50.0, 65536, 65536))
    )
    quota = ResourceAggregate(frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram_mb), Resource(disk_mb=disk_mb)}))
    role = f"role-{clients.rng.randrange(2)}"
    await clients.writes(calls.SetQuota(role, quota), lambda: quota in clients.ledger.quotas.get(role, ()))


def _host(clients: Clients) -> str | None:
    known = list(clients.ledger.rows[Table.HOSTS])
    return clients.rng.choice(known) if known else None


async def schedule_maintenance(clients: Clients) -> None:
    host = _host(clients)
    if host is not None:
        await clients.call(calls.StartMaintenance(Hosts(frozenset({host}))))


async def drain(clients: Clients) -> None:
    """At once, or as promises to the tasks there allow."""
    host = _host(clients)
    if host is None:
        return
    hosts = Hosts(frozenset({host}))
    call: calls.Call = calls.DrainHosts(hosts)
    if clients.rng.random() < 0.5:
        policy = SlaPolicy(count_sla_policy=CountSlaPolicy(1, clients.rng.choice((0, 5))))
        call = calls.SlaDrainHosts(hosts, policy, clients.rng.choice((0, 10, 60)))
    since = len(clients.ledger.modes.get(host, ()))
    meant = (MaintenanceMode.DRAINING, MaintenanceMode.DRAINED)
    was = clients.ledger.rows[Table.HOSTS][host].mode
    await clients.writes(
        call, lambda: any(mode in meant for mode in [was, *clients.ledger.modes.get(host, ())[since:]])
    )


async def end_maintenance(clients: Clients) -> None:
    host = _host(clients)
    if host is not None:
        since = len(clients.ledger.modes.get(host, ()))
        was = clients.ledger.rows[Table.HOSTS][host].mode
        await clients.writes(
            calls.EndMaintenance(Hosts(frozenset({host}))),
            lambda: MaintenanceMode.NONE in [was, *clients.ledger.modes.get(host, ())[since:]],
        )


async def schedule_cron(clients: Clients) -> None:
    """A new one, or another template for one that is there."""
    rng = clients.rng
    job = rng.choice(clients.crons)
    policy = rng.choice((None, CronCollisionPolicy.KILL_EXISTING, CronCollisionPolicy.CANCEL_NEW))
    count = rng.randint(1, clients.most_instances)
    config = draw_config(rng, job, service=False, count=count)
    schedule = rng.choice(("* * * * *", "* * * * *", "0 0 1 1 *"))
    template = JobConfiguration(job, Identity("somebody"), schedule, policy, config, count)
    call = calls.ReplaceCronTemplate if rng.random() < 0.3 else calls.ScheduleCronJob
    changes = clients.ledger.cron_changes
    await clients.writes(call(template), lambda: clients.ledger.cron_changes > changes)


async def start_cron(clients: Clients) -> None:
    await clients.call(calls.StartCronJob(clients.rng.choice(clients.crons)))


async def deschedule_cron(clients: Clients) -> None:
    job = clients.rng.choice(clients.crons)
    changes = clients.ledger.cron_changes
    was_there = job in clients.ledger.rows[Table.CRON_JOBS]
    await clients.writes(calls.DescheduleCronJob(job), lambda: not was_there or clients.ledger.cron_changes > changes)


async def snapshot(clients: Clients) -> None:
    await clients.call(calls.Snapshot())


async def reconcile(clients: Clients) -> None:
    settings = ExplicitReconciliationSettings(clients.rng.choice((1, 1000)))
    call: calls.Call = calls.TriggerImplicitTaskReconciliation()
    if clients.rng.random() < 0.5:
        call = calls.TriggerExplicitTaskReconciliation(settings)
    await clients.call(call)


async def prune(clients: Clients) -> None:
    await clients.call(calls.PruneTasks(TaskQuery(limit=clients.rng.randrange(3))))


ACTIONS: tuple[tuple[Action, int], ...] = (
    (create, 6),
    (add, 2),
    (kill, 3),
    (restart, 2),
    (update, 4),
    (pause, 1),
    (resume, 2),
    (abort, 1),
    (roll_back, 1),
    (pulse, 2),
    (look, 2),
    (set_quota, 1),
    (schedule_maintenance, 1),
    (drain, 2),
    (end_maintenance, 2),
    (schedule_cron, 2),
    (start_cron, 3),
    (deschedule_cron, 1),
    (snapshot, 1),
    (reconcile, 1),
    (prune, 1),
)


def _subject(call: calls.Call) -> str:
    match call:
        case calls.CreateJob(description=description) if description is not None:
            return f"{description.key.name} x{description.instance_count}"
        case calls.StartJobUpdate(request=request) if request is not None:
            return f"{request.task_config.job.name} x{request.instance_count}"
        case calls.ScheduleCronJob(description=template) | calls.ReplaceCronTemplate(config=template) if template:
            return f"{template.key.name} x{template.instance_count}"
        case calls.StartCronJob(job=job) | calls.DescheduleCronJob(job=job) if job is not None:
            return job.name
        case calls.KillTasks(job=job) | calls.RestartShards(job=job) if job is not None:
            return job.name
        case calls.PauseJobUpdate(key=key) | calls.ResumeJobUpdate(key=key) | calls.AbortJobUpdate(key=key):
            return key.id if key is not None else ""
        case _:
            return ""
