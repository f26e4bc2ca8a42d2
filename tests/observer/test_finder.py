import os
import shutil
from pathlib import Path

from aurorad.observer.finder import LOOKED_AT_AGAIN_WITHIN, Finder
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


def test_what_has_ended_is_looked_at_again_once_in_a_while(tmp_path: Path) -> None:
    finder, task = Finder([tmp_path]), failed_task(tmp_path, "t1")
    assert "t1" in finder.scan()
    task.paths.finished.unlink()
    assert "t1" in finder.scan()
    for _ in range(LOOKED_AT_AGAIN_WITHIN):
        found = finder.scan()
    assert "t1" not in found


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


def test_a_task_is_that_of_its_own_executor_whatever_others_claim(tmp_path: Path) -> None:
    task, thief = failed_task(tmp_path, "t1"), running_task(tmp_path, "t9")
    (thief.paths.active.with_name("t1")).write_text("{}")
    found = Finder([tmp_path]).scan()
    assert str(found["t1"].root.place) == str(task.paths.root)
    assert set(found) == {"t1", "t9"}


def test_one_run_cannot_claim_any_number_of_tasks(tmp_path: Path) -> None:
    task = running_task(tmp_path, "t1")
    for number in range(300):
        task.paths.active.with_name(f"x{number}").touch()
    assert len(Finder([tmp_path]).scan()) <= 101


def test_what_is_no_plain_file_is_no_task_and_links_lead_nowhere(tmp_path: Path) -> None:
    task = failed_task(tmp_path, "t1")
    (task.paths.finished.with_name("folder")).mkdir()
    (task.paths.finished.with_name("link")).symlink_to("t1")
    (task.paths.finished.with_name(os.fsdecode(b"\xff"))).touch()
    other = running_task(tmp_path, "t2")
    shutil.rmtree(other.paths.root / "tasks")
    (other.paths.root / "tasks").symlink_to(task.paths.root / "tasks")
    assert set(Finder([tmp_path]).scan()) == {"t1"}


def test_several_agents_may_be_looked_at(tmp_path: Path) -> None:
    failed_task(tmp_path / "a", "t1")
    failed_task(tmp_path / "b", "t2")
    assert set(Finder([tmp_path / "a", tmp_path / "b", tmp_path / "c"]).scan()) == {"t1", "t2"}


def test_a_work_directory_may_be_a_link(tmp_path: Path) -> None:
    failed_task(tmp_path / "real", "t1")
    (tmp_path / "link").symlink_to("real")
    assert set(Finder([tmp_path / "link"]).scan()) == {"t1"}
