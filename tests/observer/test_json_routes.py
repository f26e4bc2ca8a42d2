import json
from pathlib import Path
from typing import Any

import pytest

from tests.observer.host import START_S, failed_task, get, running_task


async def get_json(agent: Path, path: str) -> Any:
    return json.loads(await get(agent, path))


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    failed_task(tmp_path, "t1")
    running_task(tmp_path, "t2")
    return tmp_path


async def test_tasks_are_counted(agent: Path) -> None:
    assert await get_json(agent, "/j/task_id_count") == {"active": 1, "finished": 1, "all": 2}


@pytest.mark.parametrize(
    ("path", "head", "ids"),
    [
        ("/j/task_ids", ("all", 0, 20, 2), {"t1", "t2"}),
        ("/j/task_ids/active", ("active", 0, 20, 1), {"t2"}),
        ("/j/task_ids/finished/0/5", ("finished", 0, 5, 1), {"t1"}),
        ("/j/task_ids/all/1", ("all", 1, 20, 2), None),
        ("/j/task_ids/all/-1", ("all", 1, 20, 2), None),
        ("/j/task_ids/all/-9", ("all", 0, 20, 2), {"t1", "t2"}),
        ("/j/task_ids/all/7/3", ("all", 7, 3, 2), set()),
    ],
)
async def test_lists_of_tasks(agent: Path, path: str, head: tuple[str, int, int, int], ids: set[str] | None) -> None:
    answer = await get_json(agent, path)
    assert (answer["type"], answer["offset"], answer["num"], answer["task_count"]) == head
    if ids is not None:
        assert {task["task_id"] for task in answer["tasks"]} == ids


async def test_a_listed_task_has_the_keys_that_scripts_know(agent: Path) -> None:
    (task,) = (await get_json(agent, "/j/task_ids/finished"))["tasks"]
    names = "task_id name role launch_timestamp state state_timestamp ports"
    names += " cpu ram user system rss vms nice status threads disk"
    assert " ".join(task) == names
    assert (task["name"], task["role"], task["state"], task["ports"]) == (
        "hello_world",
        "www-data",
        "FAILED",
        {"http": 31000},
    )
    assert task["status"] == "None"


async def test_a_task_in_full(agent: Path) -> None:
    answer = await get_json(agent, "/j/task?task_id=t1,t2,unknown")
    assert list(answer) == ["t1", "t2"]
    task = answer["t1"]
    assert task["processes"] == {
        "waiting": [],
        "running": [],
        "success": ["fetch_package"],
        "failed": ["hello_world"],
        "killed": [],
    }
    assert answer["t2"]["processes"]["waiting"] == ["later"]
    assert task["user"] == "www-data"
    assert task["task"]["name"] == "hello_world"
    assert set(task["resource_consumption"]) >= {"cpu", "ram", "disk", "threads"}
    assert await get_json(agent, "/j/task/t1") == {"t1": task}
    assert await get_json(agent, "/j/task") == await get_json(agent, "/j/task/unknown") == {}


async def test_runs_of_processes(agent: Path) -> None:
    failed = {
        "process_name": "hello_world",
        "process_run": 0,
        "state": "FAILED",
        "start_time": START_S,
        "stop_time": START_S + 5,
        "return_code": 1,
    }
    assert await get_json(agent, "/j/process/t1/hello_world") == failed
    assert await get_json(agent, "/j/process/t1/hello_world/0") == failed
    assert "return_code" not in await get_json(agent, "/j/process/t1/fetch_package")
    running = await get_json(agent, "/j/process/t2/hello_world")
    assert (running["state"], running["used"]["cpu"]) == ("RUNNING", 0.0)
    for path in ("t1", "t1/nope", "t1/hello_world/1", "t1/hello_world/x", "t1/hello_world/-1", "nope/x"):
        assert await get_json(agent, f"/j/process/{path}") == {}


async def test_latest_runs_of_all_processes(agent: Path) -> None:
    answer = await get_json(agent, "/j/processes?task_id=t2")
    assert {name: run["state"] for name, run in answer["t2"].items()} == {
        "fetch_package": "SUCCESS",
        "hello_world": "RUNNING",
    }


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/j/task_ids/some", "Invalid task type: some"),
        ("/j/task_ids/all/x", "Invalid offset: x"),
        ("/j/task_ids/all/0/x", "Invalid count: x"),
        ("/main/all/0/-3", "Invalid count: -3"),
    ],
)
async def test_bad_lists_are_told(agent: Path, path: str, words: str) -> None:
    assert words in await get(agent, path, 404)
