"""Which engine the flags ask for, made ready to run."""

from __future__ import annotations

import random
from collections.abc import Callable

import trio

from aurorad.api.enums import SLAVE_ASSIGNED_STATES
from aurorad.api.tasks import ScheduledTask, TaskConfig
from aurorad.cgroups import find_hierarchy
from aurorad.engine.base import Resource
from aurorad.engine.local import capacity
from aurorad.engine.local.engine import LocalEngine
from aurorad.engine.local.home import Home
from aurorad.engine.mesos.engine import MesosEngine
from aurorad.engine.mesos.framework import framework_info, read_credential
from aurorad.engine.mesos.launching import Launching
from aurorad.engine.retention import Policy
from aurorad.engine.simulated.agents import make_agents, read_agents
from aurorad.engine.simulated.behaviour import Behaviour
from aurorad.engine.simulated.cluster import Cluster
from aurorad.engine.simulated.engine import FRAMEWORK_ID, SimulatedEngine
from aurorad.engine.simulated.hosts import Amounts
from aurorad.flags import Flags
from aurorad.pace import Pace
from aurorad.rules import matching
from aurorad.rules.executors import ExecutorSettings
from aurorad.rules.resources import ResourceType
from aurorad.storage.tables import Tables
from aurorad.vars import Vars

_BITE = 16  # tasks, before a look at the clock


class WrongEngine(Exception):
    """The work_dir is another engine's: its tasks must not be mistaken for ours."""


_MESOS = "mesos"
"""A file in the work_dir of who schedules onto a Mesos cluster: its framework ids look like our own."""


def local_engine(
    flags: Flags,
    tables: Tables,
    hostname: str,
    stats: Vars,
    now_ms: Callable[[], int],
    executor_arguments: tuple[str, ...],
) -> LocalEngine:
    """This machine. Raises `WrongEngine`."""
    if tables.framework_id == FRAMEWORK_ID:
        raise WrongEngine(
            f"-work_dir={flags.work_dir} is a simulated cluster's, whose tasks would now run in earnest: "
            "another one, or -engine=simulated, was expected"
        )
    if (flags.work_dir / _MESOS).exists():
        raise WrongEngine(
            f"-work_dir={flags.work_dir} is a Mesos cluster's, whose tasks would be given up for lost: "
            "another one, or -mesos_master_address, was expected"
        )
    executor_ram_mb = flags.thermos_executor_ram / (1 << 20)
    return LocalEngine(
        flags.work_dir,
        hostname,
        capacity.measure(flags.work_dir, flags.thermos_executor_cpu, executor_ram_mb),
        now_ms,
        retention=Policy(max_age_s=flags.gc_delay, max_bytes=flags.gc_max_size),
        gc_disk_headroom=flags.gc_disk_headroom,
        stats=stats,
        executor_arguments=executor_arguments,
        hierarchy=find_hierarchy(),
    )


def mesos_engine(
    flags: Flags, tables: Tables, executors: ExecutorSettings, hostname: str, webui_url: str, stats: Vars
) -> MesosEngine:
    """The cluster of these masters. Raises `WrongEngine` and `BadCredential`."""
    masters, file = flags.mesos_master_address, flags.framework_authentication_file
    assert masters is not None, "flags are checked"
    credential = read_credential(file) if file is not None else None
    own_id = Home(flags.work_dir).known_framework_id()
    if tables.framework_id is not None and tables.framework_id in (FRAMEWORK_ID, own_id):
        kind = "a simulated cluster's" if tables.framework_id == FRAMEWORK_ID else "that of a single machine"
        raise WrongEngine(
            f"-work_dir={flags.work_dir} is {kind}, whose tasks would be given up for lost: "
            "another one was expected with -mesos_master_address"
        )
    (flags.work_dir / _MESOS).touch()
    is_announced = credential is not None and flags.framework_announce_principal
    return MesosEngine(
        masters=masters,
        framework=framework_info(
            name=flags.framework_name,
            user=flags.executor_user,
            failover_timeout_s=flags.framework_failover_timeout,
            role=flags.mesos_role,
            principal=credential.principal if credential is not None and is_announced else None,
            hostname=hostname,
            webui_url=webui_url,
            revocable=flags.receive_revocable_resources,
            gpus=flags.allow_gpu_resource,
            partition_aware=flags.partition_aware,
        ),
        credential=credential,
        launching=Launching(executors.by_name, flags.cluster_name if flags.populate_discovery_info else None),
        stats=stats,
        rng=random.Random(),  # noqa: S311 - spreads retries, guards nothing
    )


async def simulated_engine(flags: Flags, tables: Tables, executors: ExecutorSettings) -> SimulatedEngine:
    """Pretended hosts, with the tasks that they had before a restart. Raises `BadAgents` and `WrongEngine`."""
    if tables.framework_id not in (None, FRAMEWORK_ID):
        raise WrongEngine(
            f"-work_dir={flags.work_dir} is a real cluster's, whose tasks would be given up for lost: "
            "another one was expected with -engine=simulated"
        )
    cluster = simulated_cluster(flags)
    pace = Pace()
    adoption = _Adoption(cluster, executors)
    tasks = tables.all_tasks()
    for start in range(0, len(tasks), _BITE):
        for task in tasks[start : start + _BITE]:
            if task.status in SLAVE_ASSIGNED_STATES:
                adoption.adopt(task)
        await pace.breathe()
    return SimulatedEngine(cluster)


def simulated_cluster(flags: Flags) -> Cluster:
    """As the flags say. Raises `BadAgents`."""
    first, _, last = flags.simulated_ports.partition("-")
    agents = (
        read_agents(flags.simulated_agents)
        if flags.simulated_agents is not None
        else make_agents(
            flags.simulated_hosts,
            cpus=flags.simulated_cpus,
            mem_mb=flags.simulated_ram / (1 << 20),
            disk_mb=flags.simulated_disk / (1 << 20),
            ports=(int(first), int(last)),
            racks=flags.simulated_racks,
        )
    )
    behaviour = Behaviour(
        starting_s=flags.simulated_start_delay,
        kill_s=flags.simulated_kill_delay,
        run_s=flags.simulated_run_time,
        finish=flags.simulated_finish,
        fail=flags.simulated_fail,
        lose=flags.simulated_lose,
        flap=flags.simulated_flap,
    )
    return Cluster(agents, behaviour, random.Random(flags.simulated_seed))  # noqa: S311 - fates of pretended tasks


class _Adoption:
    """Has tasks of the log go on where they were, if those agents are still there."""

    def __init__(self, cluster: Cluster, executors: ExecutorSettings) -> None:
        self._cluster = cluster
        self._executors = executors
        self._known: dict[TaskConfig, Amounts] = {}
        self._last: tuple[TaskConfig | None, Amounts] = (None, Amounts((), ()))

    def adopt(self, task: ScheduledTask) -> None:
        assigned, job = task.assigned_task, task.assigned_task.task.job
        amounts = self._amounts(assigned.task)
        if assigned.assigned_ports:
            amounts = Amounts(amounts.scalars, tuple(assigned.assigned_ports.values()))
        source = f"{job.role}.{job.environment}.{job.name}.{assigned.instance_id}"
        self._cluster.adopt(trio.current_time(), assigned.task_id, assigned.slave_id or "", amounts, source)

    def _amounts(self, config: TaskConfig) -> Amounts:
        """Without ports. Tasks of one job come one after the other, and have the same configuration."""
        if config is not self._last[0]:
            known = self._known.get(config)
            if known is None:
                self._known[config] = known = self._asked_for(config)
            self._last = (config, known)
        return self._last[1]

    def _asked_for(self, config: TaskConfig) -> Amounts:
        request = matching.request_of(config, self._executors, revocable=False)
        return Amounts.of(
            Resource(type_.value, amount)
            for bag in (request.task, request.allocated_overhead)
            for type_, amount in bag.items()
            if type_ is not ResourceType.PORTS
        )
