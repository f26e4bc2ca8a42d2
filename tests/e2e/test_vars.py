"""Operators find the statistics that they know."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from aurorad.api.calls import CreateJob, ForceTaskState, GetTasksWithoutConfigs, KillTasks, Snapshot
from aurorad.api.enums import ResponseCode, ScheduleStatus
from aurorad.api.tasks import JobKey, TaskQuery
from tests.e2e.cluster import Cluster, eventually
from tests.e2e.jobs import call, shell_job
from tests.e2e.names_of_vars import EXPORTED, JOB, LARGE, NOT_HERE, names

FLAGS = (
    "-engine=simulated",
    "-simulated_hosts=5",
    "-sla_stat_refresh_interval=1secs",
    "-async_slot_stat_update_interval=1secs",
    "-sla_non_prod_metrics=JOB_UPTIMES,PLATFORM_UPTIME,MEDIANS",
    "-initial_flapping_task_delay=1secs",
    "-preemption_delay=1secs",
    "-preemption_slot_search_initial_delay=1secs",
    "-preemption_slot_search_interval=1secs",
    "-host_maintenance_polling_interval=1secs",
)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def key(path: str) -> JobKey:
    return JobKey(*path.split("/"))


def running(it: Cluster, path: str) -> str:
    """The id of the job's task, once it runs."""

    def found() -> str | None:
        query = TaskQuery(job_keys=frozenset({key(path)}), statuses=frozenset({ScheduleStatus.RUNNING}))
        result = call(it, GetTasksWithoutConfigs(query)).result
        assert result is not None
        assert result.schedule_status_result is not None
        tasks = result.schedule_status_result.tasks
        return tasks[0].assigned_task.task_id if tasks else None

    return eventually(f"{path} runs", found)


@pytest.fixture
def simulated(folder: Path) -> Iterator[Cluster]:
    hook = {"headers": {}, "targetURL": f"http://127.0.0.1:{free_port()}/", "timeoutMsec": 100}
    (folder / "hook.json").write_text(json.dumps(hook))
    it = Cluster(folder, *FLAGS, f"-webhook_config={folder}/hook.json")
    it.start()
    yield it
    assert it.stop() == 0, it.log()


def test_the_known_statistics_are_exported_or_left_out_for_a_reason(simulated: Cluster) -> None:
    it = simulated
    assert call(it, CreateJob(shell_job(key(JOB).name, "sleep 1000"))).response_code is ResponseCode.OK
    assert call(it, CreateJob(shell_job(key(LARGE).name, "sleep 1000", cpus=1000))).response_code is ResponseCode.OK
    for status in (ScheduleStatus.FAILED, ScheduleStatus.LOST):
        assert call(it, ForceTaskState(running(it, JOB), status)).response_code is ResponseCode.OK
    running(it, JOB)
    assert call(it, Snapshot()).response_code is ResponseCode.OK
    assert call(it, KillTasks(key("www-data/devel/none"), frozenset())).response_code is ResponseCode.OK

    def exported() -> set[str]:
        return set(requests.get(f"{it.scheduler}/vars.json", timeout=10).json())

    expected = set(names(EXPORTED))
    with contextlib.suppress(AssertionError):  # said below
        eventually("all are there", lambda: expected <= exported(), within_s=10)
    assert sorted(expected - exported()) == []
    assert sorted(set(names(NOT_HERE)) & exported()) == [], "these are there after all"
