from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from aurorad.observer.mesos_disk import MesosDiskCollector
from aurorad.observer.walk import Place

CONTAINERS = [
    {"executor_id": "thermos-t1", "statistics": {"disk_used_bytes": 4096}},
    {"executor_id": "thermos-t2", "statistics": {}},
    {"executor_id": "thermos-t3", "statistics": {"disk_used_bytes": "many"}},
    {"executor_id": "twin", "statistics": {"disk_used_bytes": 1}},
    {"executor_id": "twin", "statistics": {"disk_used_bytes": 2}},
    {"executor_id": 77, "statistics": {"disk_used_bytes": 5.0}},
    {"executor_id": "", "statistics": {"disk_used_bytes": 6}},
    {"statistics": None},
]


@contextmanager
def agent(body: bytes, status: int = 200) -> Iterator[str]:
    """An agent's API; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/containers"
        finally:
            server.shutdown()
            thread.join()


async def measured(
    url: str, sandboxes: Mapping[str, Place], usage: str = "statistics.disk_used_bytes"
) -> dict[str, int]:
    return {task: size async for task, size in MesosDiskCollector(url, "executor_id", usage)(sandboxes)}


def sandbox(executor: str) -> Place:
    return Place(f"/var/lib/mesos/slaves/S/frameworks/F/executors/{executor}/runs/r", ("sandbox",))


@pytest.mark.parametrize(
    ("executor", "size", "warning"),
    [
        ("thermos-t1", 4096, ""),
        ("77", 5, ""),
        ("thermos-t2", -1, "Didn't find disk usage stats for path"),
        ("thermos-t3", -1, "Didn't find disk usage stats for path"),
        ("twin", -1, "Didn't find container stats for path"),
        ("unknown", -1, "Didn't find container stats for path"),
    ],
)
async def test_disk_use_is_that_of_the_one_container_whose_executor_the_path_names(
    executor: str, size: int, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    with agent(json.dumps(CONTAINERS).encode()) as url:
        assert await measured(url, {"t": sandbox(executor)}) == {"t": size}
    assert (warning and f"MesosDiskCollector: {warning} {sandbox(executor)} in agent metrics.") in caplog.text


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 200), (b"no", 200), (b"{}", 200), (b"[]", 500), (b"[" * 100_000, 200)]
)
async def test_an_agent_that_makes_no_sense_is_warned_of(
    body: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with agent(body, status) as url:
        assert await measured(url, {"t": sandbox("thermos-t1"), "u": sandbox("x")}) == {"t": -1, "u": -1}
    (record,) = caplog.records
    assert record.message.startswith("MesosDiskCollector: Unexpected error talking to agent api: ")


async def test_no_agent_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert await measured("http://127.0.0.1:1/containers", {"t": sandbox("x")}) == {"t": -1}
    assert "Unexpected error talking to agent api" in caplog.text


async def test_paths_are_jmespath(caplog: pytest.LogCaptureFixture) -> None:
    containers = [{"executor_id": "thermos-t1", "disks": [{"used": 3}, {"used": 4}]}]
    with agent(json.dumps(containers).encode()) as url:
        assert await measured(url, {"t": sandbox("thermos-t1")}, "sum(disks[].used)") == {"t": 7}
        assert await measured(url, {"t": sandbox("thermos-t1")}, "sum(executor_id)") == {"t": -1}


async def test_without_tasks_nobody_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    assert await measured("http://127.0.0.1:1/", {}) == {}
    assert caplog.records == []
