"""What is checked before a task is run."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from frozendict import frozendict

from executor.checkpoint import RunnerCkpt, RunnerHeader, StreamWriter, TaskState, TaskStatus
from executor.paths import TaskPaths
from executor.sandbox import current_user
from executor.thermos import roots
from executor.thermos.orders import DEFAULT_SANDBOXES, Refused, Wish, make_room, order_of
from executor.thermos.roots import DEFAULT_ROOT, Roots

NOW = datetime.datetime(2026, 11, 21, 8, 9, 10, 345)
ME = current_user().name


def wish(root: Path, cmdline: str = "true", **fields: Any) -> Wish:
    data = json.dumps({"name": "t", "processes": [{"name": "p", "cmdline": cmdline}]})
    return Wish(root, data, fields.pop("unbound_ports", ()), fields.pop("ports", {}), **fields)


def record(root: Path, header: RunnerHeader, state: TaskState = TaskState.ACTIVE) -> None:
    writer = StreamWriter(TaskPaths(root, header.task_id).runner)
    writer.append(RunnerCkpt(task_status=TaskStatus(state, 1, 2, 3)))
    writer.append(RunnerCkpt(runner_header=header))
    writer.close()


def test_an_id_is_made_of_name_and_time(tmp_path: Path) -> None:
    assert order_of(wish(tmp_path), NOW).paths.task_id == "t-20261121-080910.000345"


def test_the_sandbox_is_a_folder_of_the_tasks_own(tmp_path: Path) -> None:
    assert order_of(wish(tmp_path, task_id="id"), NOW).sandbox == tmp_path / "sandboxes" / "id"
    assert order_of(wish(DEFAULT_ROOT, task_id="id"), NOW).sandbox == DEFAULT_SANDBOXES / "id"
    assert order_of(wish(tmp_path, sandbox=tmp_path / "s"), NOW).sandbox == tmp_path / "s"


def test_what_only_the_runner_knows_is_filled_in(tmp_path: Path) -> None:
    text = "{{thermos.task_id}} {{thermos.user}} {{thermos.ports[http]}}"
    order = order_of(wish(tmp_path, text, task_id="id", ports={"http": 80}), NOW)
    assert order.task.processes[0].cmdline == f"id {ME} 80"
    assert order.header.ports == {"http": 80}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"unbound_ports": {"b", "a"}}, r"ERROR!  Unbound ports: a b \(give them: -P a:NUMBER -P b:NUMBER\)"),
        ({"task_id": "../x"}, "task id '../x': expected a name"),
        ({"user": "nobody-has-this-name"}, "Cannot run as nobody-has-this-name: Unable to get pwent information!"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        order_of(wish(tmp_path, **fields), NOW)


def test_a_task_that_is_there_goes_on_as_it_is(tmp_path: Path) -> None:
    header = RunnerHeader("id", 5, "/there", "host", ME, frozendict({"http": 80}), "/there/logs", current_user().uid)
    record(tmp_path, header)
    order = order_of(wish(tmp_path, "echo {{thermos.ports[http]}}", task_id="id", unbound_ports={"http"}), NOW)
    assert order.header == header
    assert order.task.processes[0].cmdline == "echo 80"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sandbox": Path("/elsewhere")}, "id has sandbox /there, not /elsewhere"),
        ({"ports": {"http": 81}}, "id has ports"),
    ],
)
def test_a_task_that_is_there_does_not_move(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    record(tmp_path, RunnerHeader("id", 5, "/there", "host", ME, frozendict({"http": 80})))
    with pytest.raises(Refused, match=f"Attempting to rebind task with different parameters! {says}"):
        order_of(wish(tmp_path, task_id="id", **fields), NOW)


def test_a_task_that_is_over_is_told_as_such(tmp_path: Path) -> None:
    record(tmp_path, RunnerHeader("id"), TaskState.FAILED)
    with pytest.raises(Refused, match="Task id is over, FAILED: give another --task_id, or none"):
        order_of(wish(tmp_path, task_id="id"), NOW)


def test_damaged_checkpoints_are_told_as_such(tmp_path: Path) -> None:
    paths = TaskPaths(tmp_path, "id")
    paths.runner.parent.mkdir(parents=True)
    paths.runner.write_bytes(b"\xff" * 8)
    with pytest.raises(Refused, match="Task id is there already, and its checkpoints cannot be read"):
        order_of(wish(tmp_path, task_id="id"), NOW)


def test_a_root_that_cannot_be_is_named_with_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        Refused, match=r"Cannot keep checkpoints in .*/root: Not a directory .*thermos --root FOLDER run"
    ):
        make_room(order_of(wish(tmp_path / "file" / "root"), NOW))
    with pytest.raises(Refused, match="give a folder of your own: --sandbox FOLDER"):
        make_room(order_of(wish(tmp_path, sandbox=tmp_path / "file" / "sandbox"), NOW))


def test_a_sandbox_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    sandbox = tmp_path / "mine"
    sandbox.mkdir(mode=0o755)
    make_room(order_of(wish(tmp_path, sandbox=sandbox), NOW))
    assert sandbox.stat().st_mode & 0o777 == 0o755
    order = order_of(wish(tmp_path), NOW)
    make_room(order)
    assert order.sandbox.stat().st_mode & 0o777 == 0o700


def test_a_root_may_be_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Roots.of([Path("~/mine"), roots.DEFAULT_ROOT], []).checkpoints == (tmp_path / "mine", roots.DEFAULT_ROOT)
