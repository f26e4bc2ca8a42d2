import os
import shutil
from pathlib import Path

from aurorad.observer.finder import Finder
from tests.observer.host import TaskOnDisk, failed_task, running_task


def test_tasks_are_found_in_the_runs_of_executors(tmp_path: Path) -> None:
    failed_task(tmp_path, "t1")
    running_task(tmp_path, "t2")
    found = Finder([tmp_path]).scan()
    assert {task_id: task.finished for task_id, task in found.items()} == {"t1": True, "t2": False}
    assert "latest" not in str(found["t1"].root.place)


def test_no_folder_is_no_tasks(tmp_path: Path) -> None:
    assert Finder([tmp_path / "nothing"], [tmp_path / "neither"]).scan() == {}
    assert Finder([]).scan() == {}


def test_another_checkpoint_root_may_hold_many_tasks(tmp_path: Path) -> None:
    for name in ("active", "finished"):
        (tmp_path / "tasks" / name).mkdir(parents=True)
    for name in ("active/a", "active/b", "finished/c", "active/not a task", "active/.hidden"):
        (tmp_path / "tasks" / name).write_text("{}")
    found = Finder([], [tmp_path]).scan()
    assert {task_id: task.finished for task_id, task in found.items()} == {"a": False, "b": False, "c": True}


def test_a_task_that_ends_is_finished_at_the_next_look(tmp_path: Path) -> None:
    finder, task = Finder([tmp_path]), running_task(tmp_path, "t2")
    assert not finder.scan()["t2"].finished
    task.finish()
    assert finder.scan()["t2"].finished


def test_what_has_ended_is_looked_at_again_only_by_a_full_scan(tmp_path: Path) -> None:
    finder, task = Finder([tmp_path]), failed_task(tmp_path, "t1")
    assert "t1" in finder.scan()
    task.paths.finished.unlink()
    assert "t1" in finder.scan()
    assert "t1" not in finder.scan(full=True)


def test_an_executor_that_was_removed_is_gone_at_once(tmp_path: Path) -> None:
    finder, task = Finder([tmp_path]), failed_task(tmp_path, "t1")
    assert "t1" in finder.scan()
    shutil.rmtree(task.run.parent.parent)
    assert finder.scan() == {}


def test_of_two_runs_of_a_task_the_one_that_runs_counts(tmp_path: Path) -> None:
    failed_task(tmp_path / "one", "t1")
    running = TaskOnDisk(tmp_path / "two", "t1")
    os.utime(running.paths.active, (0, 0))
    found = Finder([tmp_path / "one"], [running.paths.root]).scan()
    assert str(found["t1"].root.place) == str(running.paths.root)
