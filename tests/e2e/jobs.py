"""Jobs and calls made by hand, for tests that need many or odd ones."""

from __future__ import annotations

import json

import requests

from aurorad.api import binary
from aurorad.api.calls import Call, Reply
from aurorad.api.results import Response
from aurorad.api.tasks import ExecutorConfig, Identity, JobConfiguration, JobKey, Resource, TaskConfig
from aurorad.api.wire import BINARY_TYPE, MessageHeader, MessageType
from tests.e2e.cluster import Cluster


def shell_job(
    name: str, command: str, *, cpus: float = 0.1, instances: int = 1, service: bool = True
) -> JobConfiguration:
    """A job of one process that runs a shell command, as the client would send it."""
    key = JobKey("www-data", "devel", name)
    process = {"name": name, "cmdline": command}
    resources = {"cpu": cpus, "ram": 16 << 20, "disk": 16 << 20}
    data = {
        "cluster": "devcluster",
        "role": key.role,
        "environment": key.environment,
        "name": name,
        "service": service,
        "task": {"name": name, "processes": [process], "resources": resources, "finalization_wait": 5},
    }
    task = TaskConfig(
        job=key,
        owner=Identity("tester"),
        is_service=service,
        max_task_failures=1,
        resources=frozenset({Resource(num_cpus=cpus), Resource(ram_mb=16), Resource(disk_mb=16)}),
        executor_config=ExecutorConfig("AuroraExecutor", json.dumps(data)),
    )
    return JobConfiguration(key=key, owner=Identity("tester"), task_config=task, instance_count=instances)


def call(cluster: Cluster, what: Call) -> Response:
    """The scheduler's answer, over TBinary as the client speaks it."""
    body = binary.encode_message(MessageHeader(what.method(), MessageType.CALL, 0), what)
    headers = {"Content-Type": BINARY_TYPE, "Accept": BINARY_TYPE}
    answer = requests.post(f"{cluster.scheduler}/api", data=body, headers=headers, timeout=30)
    answer.raise_for_status()
    reply = binary.read_struct(Reply, answer.content, binary.decode_header(answer.content)[1])[0]
    assert reply.success is not None
    return reply.success
