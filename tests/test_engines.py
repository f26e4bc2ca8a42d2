"""The engine that the flags ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from frozendict import frozendict
from trio.testing import MockClock

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, ScheduledTask
from aurorad.daemon import run
from aurorad.engine.base import TaskState
from aurorad.engine.local.home import Home
from aurorad.engines import WrongEngine, local_engine, mesos_engine, simulated_cluster, simulated_engine
from aurorad.flags import Flags, parse
from aurorad.rules.executors import BUILT_IN
from aurorad.startup import CannotStart
from aurorad.storage.tables import Tables
from aurorad.storage.transaction import Transaction
from aurorad.vars import Vars
from tests.rules.values import TASK

MESOS = ("-mesos_master_address=127.0.0.1:5050", "-thermos_executor_path=/e")


def on(agent_id: str, number: int, status: ScheduleStatus = ScheduleStatus.RUNNING) -> ScheduledTask:
    assigned = AssignedTask(
        task_id=f"task-{number}",
        slave_id=agent_id,
        slave_host="host",
        task=TASK,
        assigned_ports=frozendict({"http": 31000 + number}),
        instance_id=number,
    )
    return ScheduledTask(assigned_task=assigned, status=status)


async def test_tasks_of_before_go_on_where_their_agents_still_are() -> None:
    tables = Tables()
    Transaction(tables).save_tasks(
        on("agent-1", 0),
        on("agent-2", 1, ScheduleStatus.ASSIGNED),
        on("agent-9", 2),
        on("agent-1", 3, ScheduleStatus.FINISHED),
    )
    engine = await simulated_engine(parse(["-engine=simulated", "-simulated_hosts=2"]), tables, BUILT_IN)
    tasks = engine.cluster.tasks
    assert {task_id: task.agent_id for task_id, task in tasks.items()} == {"task-0": "agent-1", "task-1": "agent-2"}
    assert {task.state for task in tasks.values()} == {TaskState.TASK_RUNNING}
    assert dict(tasks["task-0"].amounts.scalars)["cpus", "*", False] == 750  # the executor's are a part of it
    assert tasks["task-1"].amounts.ports == (31001,)
    engine.cluster.check_invariants()


async def test_tasks_of_before_end_by_fates_of_their_own(autojump_clock: MockClock) -> None:
    tables = Tables()
    Transaction(tables).save_tasks(on("agent-1", 0))
    await trio.sleep(10_000)
    flags = parse(["-engine=simulated", "-simulated_finish=1", "-simulated_run_time=100secs"])
    cluster = (await simulated_engine(flags, tables, BUILT_IN)).cluster
    assert 10_050 <= cluster.next_at() <= 10_150


def test_a_cluster_is_as_its_flags_say(tmp_path: Path) -> None:
    flags = ["-engine=simulated", "-simulated_hosts=3", "-simulated_cpus=4", "-simulated_ram=1GB", "-simulated_racks=2"]
    agents = simulated_cluster(parse([*flags, "-simulated_disk=2GB", "-simulated_ports=1-9"])).agents
    assert list(agents) == ["agent-1", "agent-2", "agent-3"]
    assert [(r.name, r.scalar or r.ranges) for r in agents["agent-1"].agent.resources] == [
        ("cpus", 4.0),
        ("mem", 1024.0),
        ("disk", 2048.0),
        ("ports", ((1, 9),)),
    ]
    file = tmp_path / "agents"
    file.write_text("mine host 1 2 3 4-5")
    assert list(simulated_cluster(parse(["-engine=simulated", f"-simulated_agents={file}"])).agents) == ["mine"]


async def test_no_engine_takes_up_the_tasks_of_the_other(tmp_path: Path) -> None:
    tables = Tables()
    Transaction(tables).save_framework_id("local")
    with pytest.raises(WrongEngine, match="is a simulated cluster's, whose tasks would now run in earnest"):
        local_engine(Flags(work_dir=tmp_path), tables, "localhost", Vars(), lambda: 0, ())
    Transaction(tables).save_framework_id("6f0e-0000")
    with pytest.raises(WrongEngine, match="is a real cluster's, whose tasks would be given up for lost"):
        await simulated_engine(Flags(work_dir=tmp_path, engine="simulated"), tables, BUILT_IN)


def test_mesos_is_not_told_of_the_tasks_of_another_engine(tmp_path: Path) -> None:
    tables, flags = Tables(), parse([f"-work_dir={tmp_path}", *MESOS])
    for framework_id, whose in (("local", "a simulated cluster's"), ("6f0e-0000", "that of a single machine")):
        Transaction(tables).save_framework_id(framework_id)
        with Home(tmp_path).claimed():
            Home(tmp_path).framework_id(framework_id)
        with pytest.raises(WrongEngine, match=f"is {whose}, whose tasks would be given up for lost"):
            mesos_engine(flags, tables, BUILT_IN, "localhost", "http://localhost", Vars())


def test_no_single_machine_takes_up_the_tasks_of_a_mesos_cluster(tmp_path: Path) -> None:
    tables, flags = Tables(), parse([f"-work_dir={tmp_path}", *MESOS])
    mesos_engine(flags, tables, BUILT_IN, "localhost", "http://localhost", Vars())
    with pytest.raises(WrongEngine, match="is a Mesos cluster's, whose tasks would be given up for lost"):
        local_engine(Flags(work_dir=tmp_path), tables, "localhost", Vars(), lambda: 0, ())


def test_a_bad_file_of_agents_keeps_the_daemon_from_starting(tmp_path: Path) -> None:
    flags = parse(["-engine=simulated", f"-work_dir={tmp_path / 'w'}", "-http_port=0", f"-simulated_agents={tmp_path}"])
    with pytest.raises(CannotStart, match="cannot be read: Is a directory"):
        run(flags)
