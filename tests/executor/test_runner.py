"""Real tasks with real processes (thermos-runner sheet, section 15)."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from aurorad.engine.base import TaskState
from executor import runner
from executor.checkpoint import ProcessState, StreamHeld, StreamWriter, encode_frame, read_stream
from executor.main import LOG
from executor.paths import CHECKPOINTS, TaskPaths
from tests.executor.harness import TASK_ID, Executor, alive, assigned, process, run_task, task, wait_until

FINISHED = (TaskState.TASK_FINISHED, "Task finished.")
FAILED = (TaskState.TASK_FAILED, "Task failed.")


def test_a_stream_of_one_process_tells_its_whole_story(tmp_path: Path) -> None:
    done = run_task(tmp_path, task(process("echo", "echo hello")))
    assert done.updates[-1] == FINISHED
    assert done.output("echo") == "hello\n"
    assert [status.state.name for status in done.state.statuses] == ["ACTIVE", "CLEANING", "FINALIZING", "SUCCESS"]
    (run,) = done.runs("echo")
    assert (run.state, run.return_code, run.seq) == (ProcessState.SUCCESS, 0, 3)
    assert run.fork_time is not None
    assert run.start_time is not None
    assert run.stop_time is not None
    assert run.fork_time < run.start_time < run.stop_time


def test_after_a_failed_dependency_the_task_is_deadlocked_and_fails(tmp_path: Path) -> None:
    chain = task(
        process("a", "true"), process("b", "false"), process("c", "true"), order=("a", "b", "c"), max_failures=2
    )
    done = run_task(tmp_path, chain)
    assert done.updates[-1] == FAILED
    assert done.states("b") == ["FAILED"]
    assert "c" not in done.state.processes


def test_without_a_failure_limit_failing_processes_do_not_fail_the_task(tmp_path: Path) -> None:
    done = run_task(tmp_path, task(process("a", "exit 3"), process("b", "false"), max_failures=0))
    assert done.updates[-1] == FINISHED
    assert done.runs("a")[0].return_code == 3


def test_a_process_is_tried_until_it_succeeds(tmp_path: Path) -> None:
    done = run_task(tmp_path, task(process("try", "echo x >> n; test $(wc -l < n) = 3", max_failures=5)))
    assert done.states("try") == ["FAILED", "FAILED", "SUCCESS"]
    assert done.updates[-1] == FINISHED


def test_a_process_killed_from_outside_is_lost_not_failed_and_runs_again(tmp_path: Path) -> None:
    executor = Executor(
        assigned(task(process("p", "test -e once && exit 0; touch once; echo $$ > pid; exec sleep 1000"))), tmp_path
    )
    os.kill(int(executor.wait_for_file("pid")), signal.SIGKILL)
    assert executor.finish() == FINISHED
    assert executor.states("p") == ["KILLED", "SUCCESS"]
    assert executor.runs("p")[0].return_code == -9


def test_a_run_whose_coordinator_died_is_lost_and_runs_again(tmp_path: Path) -> None:
    executor = Executor(
        assigned(task(process("p", "test -e once && exit 0; touch once; echo $PPID > boss; exec sleep 1000"))), tmp_path
    )
    os.kill(int(executor.wait_for_file("boss")), signal.SIGKILL)
    assert executor.finish() == FINISHED
    assert executor.states("p") == ["LOST", "SUCCESS"]
    assert executor.inhabitants() == []


def test_of_a_run_whose_coordinator_died_nothing_goes_on_beside_the_next(tmp_path: Path) -> None:
    command = "setsid sleep 1000 & echo $! >> left; sleep 1000 & echo $! >> left; echo up > up; sleep 1000"
    executor = Executor(assigned(task(process("p", command))), tmp_path)
    executor.wait_for_file("up")
    wait_until(lambda: executor.states("p") == ["RUNNING"], "p is on record")
    left = [int(line) for line in (executor.sandbox / "left").read_text().split()]
    os.kill(executor.runs("p")[0].coordinator_pid or 0, signal.SIGKILL)
    wait_until(lambda: executor.states("p")[:1] == ["LOST"], "p is lost")
    assert not any(map(alive, left))
    executor.kill()
    executor.finish()


def test_no_run_begins_while_anything_of_the_one_before_is_alive(tmp_path: Path) -> None:
    locked = "exec 9>>lock; flock -nE 66 9; test $? = 66 && echo $$ >> twice"
    executor = run_task(tmp_path, task(process("p", f"{locked}; sleep 1000 & exit 1", max_failures=20)))
    assert executor.states("p") == ["FAILED"] * 20
    assert not (executor.sandbox / "twice").exists()


def test_an_ephemeral_process_does_not_keep_the_task_from_ending(tmp_path: Path) -> None:
    aside = process("aside", "touch up; exec sleep 1000", ephemeral=True)
    done = run_task(tmp_path, task(aside, process("main", "until test -e up; do sleep 0.01; done")))
    assert done.updates[-1] == FINISHED
    assert done.states("aside") == ["KILLED"]


def test_a_failing_finalizer_does_not_fail_the_task_but_blocks_its_successor(tmp_path: Path) -> None:
    done = run_task(
        tmp_path,
        task(
            process("main", "true"),
            process("f1", "false", final=True),
            process("f2", "true", final=True),
            order=("f1", "f2"),
        ),
    )
    assert done.updates[-1] == FINISHED
    assert done.states("f1") == ["FAILED"]
    assert "f2" not in done.state.processes


def test_finalizers_run_after_a_failure_and_only_then(tmp_path: Path) -> None:
    done = run_task(tmp_path, task(process("main", "false"), process("last", "true", final=True)))
    assert done.updates[-1] == FAILED
    (main,), (last,) = done.runs("main"), done.runs("last")
    assert last.state == ProcessState.SUCCESS
    assert main.stop_time is not None
    assert last.fork_time is not None
    assert main.stop_time <= last.fork_time + 0.001  # fork times are whole milliseconds


def test_no_more_run_at_once_than_the_task_allows(tmp_path: Path) -> None:
    done = run_task(tmp_path, task(*(process(f"p{i}", "sleep 0.05") for i in range(3)), max_concurrency=1))
    runs = sorted((run for i in range(3) for run in done.runs(f"p{i}")), key=lambda run: run.start_time or 0)
    for before, after in itertools.pairwise(runs):
        assert before.stop_time is not None
        assert after.start_time is not None
        assert before.stop_time < after.start_time


def test_a_profile_is_sourced_by_later_processes(tmp_path: Path) -> None:
    write = process("write", "echo 'export WORD=hello' > .thermos_profile")
    done = run_task(tmp_path, task(write, process("read", "echo $WORD"), order=("write", "read")))
    assert done.output("read") == "hello\n"


def test_a_command_finds_exactly_its_environment(tmp_path: Path) -> None:
    done = run_task(tmp_path, task(process("env", "env -u PWD -u SHLVL -u _ | sort; pwd; readlink /proc/self/fd/0")))
    names = [line.split("=")[0] for line in done.output("env").splitlines()[:-2]]
    assert names == ["HOME", "LOGNAME", "PATH", "USER"]
    assert done.output("env").splitlines()[-2:] == [str(done.sandbox), "/dev/null"]
    assert done.sandbox.stat().st_mode & 0o777 == 0o700


def test_background_children_do_not_outlive_their_process(tmp_path: Path) -> None:
    left = process("left", "set -m; sleep 1000 & echo $! > bg; sleep 1000 & echo done")
    check = process("check", "kill -0 $(cat bg) 2>/dev/null && echo alive || echo dead")
    done = run_task(tmp_path, task(left, check, order=("left", "check")))
    assert done.output("check") == "dead\n"
    assert done.inhabitants() == []


def test_an_escaped_daemon_is_ended_with_the_task_even_if_it_ignores_sigterm(tmp_path: Path) -> None:
    daemon = 'trap "" TERM; echo $$ > daemon; while :; do sleep 0.1; done'
    escape = f"(setsid bash -c '{daemon}' & until test -s daemon; do sleep 0.01; done)"
    done = run_task(tmp_path, task(process("p", escape), finalization_wait=2))
    assert done.updates[-1] == FINISHED
    assert done.inhabitants() == []


def test_a_child_that_shuts_down_on_sigterm_is_given_the_time(tmp_path: Path) -> None:
    child = "bash -c 'trap \"sleep 0.2; echo bye > bye; exit\" TERM; echo up > up; while :; do sleep 0.01; done'; true"
    executor = Executor(assigned(task(process("p", child))), tmp_path)
    executor.wait_for_file("up")
    executor.kill()
    assert executor.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
    assert (executor.sandbox / "bye").exists()


def test_a_child_that_is_born_of_the_end_is_told_to_end_too(tmp_path: Path) -> None:
    parent = """
        heir() { trap "echo told > told; exit" TERM; echo up > heir; while :; do sleep 0.01; done; }
        trap 'heir & until test -s heir; do sleep 0.01; done; exit' TERM
        echo up > parent; while :; do sleep 0.01; done
    """
    executor = Executor(assigned(task(process("p", parent))), tmp_path, kill_wait_s=10.0)
    executor.wait_for_file("parent")
    executor.kill()
    assert executor.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
    assert (executor.sandbox / "told").exists()


def test_killed_processes_get_sigterm_then_sigkill_and_finalizers_run_in_between(tmp_path: Path) -> None:
    executor = Executor(
        assigned(
            task(
                process("soft", "trap 'echo got; exit 0' TERM; echo up > soft; while :; do sleep 0.01; done"),
                process("last", "echo cleaned > cleaned", final=True),
            )
        ),
        tmp_path,
    )
    executor.wait_for_file("soft")
    executor.kill()
    assert executor.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
    assert executor.output("soft") == "got\n"
    assert executor.states("last") == ["SUCCESS"]
    assert [s.state.name for s in executor.state.statuses] == ["ACTIVE", "CLEANING", "FINALIZING", "KILLED"]


def test_what_ignores_sigterm_is_killed_at_the_deadline(tmp_path: Path) -> None:
    hard = "trap '' TERM; (trap '' TERM; while :; do sleep 0.1; done) & echo up > hard; while :; do sleep 0.1; done"
    executor = Executor(
        assigned(task(process("hard", hard), process("never", "true", final=True))), tmp_path, kill_wait_s=0.3
    )
    executor.wait_for_file("hard")
    executor.kill()
    assert executor.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
    assert executor.states("hard") == ["KILLED"]
    assert executor.runs("hard")[0].return_code == -1
    assert executor.states("never") == []
    assert executor.inhabitants() == []
    assert "Exceeded finalization wait, skipping finalization." in (tmp_path / LOG).read_text()


def test_a_hanging_finalizer_is_ended_when_its_time_is_up(tmp_path: Path) -> None:
    done = run_task(
        tmp_path, task(process("main", "true"), process("hang", "sleep 1000", final=True), finalization_wait=1)
    )
    assert done.updates[-1] == FINISHED
    assert done.states("hang") == ["KILLED"]
    assert done.inhabitants() == []


def test_a_failing_fetch_keeps_a_sequential_task_from_going_on(tmp_path: Path) -> None:
    fetch = process("fetch_package", "cp /no/such/file . && chmod +x file")
    done = run_task(tmp_path, task(fetch, process("run", "./file"), order=("fetch_package", "run")))
    assert done.updates[-1] == FAILED
    assert "No such file or directory" in done.output("fetch_package", stream="stderr")
    assert "run" not in done.state.processes


def test_180_mappers_and_a_reducer(tmp_path: Path) -> None:
    mappers = [process(f"map{i}", f"for k in 1 2 3; do echo {i} $k; done > {i}.table") for i in range(180)]
    reduce = process("reduce", "cat *.table > all && wc -l < all")
    job = task(*mappers, reduce, max_concurrency=8)
    job["constraints"] = [{"order": [mapper["name"], "reduce"]} for mapper in mappers]
    done = run_task(tmp_path, job)
    assert done.updates[-1] == FINISHED
    assert done.output("reduce") == "540\n"
    assert done.inhabitants() == []


def test_a_command_that_cannot_be_started_says_so_in_its_stderr(tmp_path: Path) -> None:
    done = run_task(tmp_path, task(process("a", "rm -r $HOME"), process("b", "true"), order=("a", "b")))
    assert done.updates[-1] == FAILED
    assert done.runs("b")[0].return_code == 127


def test_a_runner_that_has_nothing_to_do_leaves_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_IDLE_S", 0.05)
    executor = Executor(assigned(task(process("p", "echo up > up; exec sleep 1000"))), tmp_path)
    executor.wait_for_file("up")
    stream = tmp_path / "checkpoints" / "checkpoints" / TASK_ID / "runner"
    wait_until(lambda: executor.states("p") == ["RUNNING"], "on record")
    os.utime(stream, (0, 0))
    size = stream.stat().st_size
    wait_until(lambda: stream.stat().st_mtime > 0, "touched")
    assert stream.stat().st_size == size
    executor.kill()
    executor.finish()


def test_a_logger_that_cannot_be_makes_the_task_invalid(tmp_path: Path) -> None:
    logger = {"mode": "rotate", "rotate": {"log_size": 0}}
    executor = Executor(assigned(task(process("p", "touch ran", logger=logger))), tmp_path)
    state, message = executor.finish()
    assert state == TaskState.TASK_FAILED
    assert str(message).endswith(
        "Got invalid task: Task has invalid process: p: Log size cannot be less than one byte."
    )


def test_when_the_runner_itself_fails_the_task_is_lost_and_nothing_of_it_goes_on(tmp_path: Path) -> None:
    many = [process(f"p{i}", "exec sleep 1000") for i in range(12)]
    done = run_task(tmp_path, task(*many), file_limit=1900)
    assert done.updates[-1] == (TaskState.TASK_LOST, "Thermos failed with an unknown error.")
    assert done.inhabitants() == []


def test_when_the_runner_itself_fails_the_checkpoints_say_that_the_task_is_lost(tmp_path: Path) -> None:
    job = assigned(task(process("p", "exec sleep 1000"), process("q", "until test -e go; do sleep 0.01; done")))
    executor = Executor(job, tmp_path)
    wait_until(lambda: executor.states("p") == executor.states("q") == ["RUNNING"], "both run")
    stream = TaskPaths(tmp_path / CHECKPOINTS, TASK_ID).coordinator("q")
    stream.write_bytes(stream.read_bytes() + b"\0\0\0\1\xff")  # no record
    (executor.sandbox / "go").touch()
    assert executor.finish() == (TaskState.TASK_LOST, "Thermos failed with an unknown error.")
    assert executor.state.statuses[-1].state.name == "LOST"
    assert executor.inhabitants() == []


class TestTakeOver:
    def test_a_task_goes_on_when_its_executor_is_cancelled_and_another_takes_over(self, tmp_path: Path) -> None:
        job = assigned(task(process("p", "echo $$ > pid; until test -e go; do sleep 0.01; done; echo done")))
        first = Executor(job, tmp_path)
        pid = int(first.wait_for_file("pid"))
        first.cancel()
        assert pid in first.inhabitants()
        second = Executor(job, tmp_path)
        second.until(TaskState.TASK_RUNNING)
        (second.sandbox / "go").touch()
        assert second.finish() == FINISHED
        assert TaskState.TASK_STARTING not in [state for state, _ in second.updates]
        assert second.states("p") == ["SUCCESS"]
        assert second.runs("p")[0].pid == pid

    def test_the_end_of_a_process_is_not_missed_while_there_is_no_executor(self, tmp_path: Path) -> None:
        wait = process("p", "until test -e go; do sleep 0.01; done")
        job = assigned(task(wait, process("q", "true"), order=("p", "q")))
        first = Executor(job, tmp_path)
        wait_until(lambda: first.states("p") == ["RUNNING"], "p runs")
        boss = first.runs("p")[0].coordinator_pid or 0
        first.crash()
        (first.sandbox / "go").touch()
        wait_until(lambda: not alive(boss), "coordinator gone")
        second = Executor(job, tmp_path)
        assert second.finish() == FINISHED
        assert second.states("p") == ["SUCCESS"]
        assert second.states("q") == ["SUCCESS"]

    def test_a_run_that_lost_its_coordinator_meanwhile_is_lost_and_runs_again(self, tmp_path: Path) -> None:
        job = assigned(task(process("p", "test -e once && exit 0; touch once; echo $$ > pid; exec sleep 1000")))
        first = Executor(job, tmp_path)
        pid = int(first.wait_for_file("pid"))
        wait_until(lambda: first.states("p") == ["RUNNING"], "p runs")
        boss = first.runs("p")[0].coordinator_pid or 0
        first.crash()
        os.kill(boss, signal.SIGKILL)
        wait_until(lambda: not alive(boss), "coordinator gone")
        second = Executor(job, tmp_path)
        assert second.finish() == FINISHED
        assert second.states("p") == ["LOST", "SUCCESS"]
        assert not alive(pid)

    def test_a_task_taken_over_can_be_killed(self, tmp_path: Path) -> None:
        job = assigned(task(process("p", "(sleep 1000; true) & echo up > up; sleep 1000; true")))
        first = Executor(job, tmp_path)
        first.wait_for_file("up")
        first.crash()
        second = Executor(job, tmp_path)
        second.until(TaskState.TASK_RUNNING)
        second.kill()
        assert second.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
        assert second.inhabitants() == []

    def test_a_task_that_is_over_is_reported_as_it_ended(self, tmp_path: Path) -> None:
        job = assigned(task(process("p", "false")))
        Executor(job, tmp_path).finish()
        again = Executor(job, tmp_path)
        assert again.finish() == FAILED
        assert again.states("p") == ["FAILED"]

    def test_a_second_executor_of_a_task_waits_for_the_first_and_tells_how_it_ended(self, tmp_path: Path) -> None:
        job = assigned(task(process("p", "echo $$ >> pids; echo up > up; exec sleep 1000")))
        first = Executor(job, tmp_path)
        first.wait_for_file("up")
        second = Executor(job, tmp_path)
        wait_until(lambda: "Waiting for it." in (tmp_path / LOG).read_text(), "the second waits")
        first.kill()
        assert first.finish() == second.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
        assert len((first.sandbox / "pids").read_text().split()) == 1

    def test_a_second_executor_of_a_task_goes_on_with_it_when_the_first_dies(self, tmp_path: Path) -> None:
        job = assigned(task(process("p", "echo $$ >> pids; echo up > up; until test -e go; do sleep 0.01; done")))
        first = Executor(job, tmp_path)
        first.wait_for_file("up")
        second = Executor(job, tmp_path)
        wait_until(lambda: "Waiting for it." in (tmp_path / LOG).read_text(), "the second waits")
        first.crash()
        second.until(TaskState.TASK_RUNNING)
        (second.sandbox / "go").touch()
        assert second.finish() == FINISHED
        assert len((first.sandbox / "pids").read_text().split()) == 1

    def test_a_kill_that_was_begun_is_gone_on_with(self, tmp_path: Path) -> None:
        job = assigned(task(process("p", STUBBORN)))
        first = Executor(job, tmp_path)
        first.wait_for_file("up")
        first.kill()
        wait_until(lambda: len(first.state.statuses) == 2, "it is CLEANING")
        first.crash()
        (first.sandbox / "go").touch()
        second = Executor(job, tmp_path)
        assert second.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
        assert second.state.statuses[-1].state.name == "KILLED"

    def test_an_unhealthy_task_has_failed_whoever_ends_it(self, tmp_path: Path) -> None:
        config = {
            "health_checker": {"shell": {"shell_command": "test ! -e sandbox/up"}},
            "initial_interval_secs": 0,
            "interval_secs": 0.02,
            "timeout_secs": 20,
        }
        job = assigned(task(process("p", STUBBORN)), health_check_config=config)
        first = Executor(job, tmp_path)
        wait_until(lambda: len(first.state.statuses) == 2, "it is CLEANING")
        first.crash()
        (first.sandbox / "go").touch()
        second = Executor(job, tmp_path)
        state, message = second.finish()
        assert state == TaskState.TASK_FAILED
        assert (message or "").startswith("Failed health check!")
        third = Executor(job, tmp_path)  # as if nobody had heard of the end
        assert third.finish() == (state, message)

    def test_a_coordinator_that_dies_with_its_runner_before_its_start_is_no_failure(self, tmp_path: Path) -> None:
        """The runner died when it had forked it: nothing of it is on record, and it still holds its stream."""
        job = assigned(task(process("p", "until test -e go; do sleep 0.01; done"), process("q", "true")))
        first = Executor(job, tmp_path)
        wait_until(lambda: first.states("p") == ["RUNNING"] and first.states("q") == ["SUCCESS"], "p runs, q ran")
        first.crash()
        paths = TaskPaths(tmp_path / CHECKPOINTS, TASK_ID)
        cut_before(paths.runner, "q", ProcessState.FORKED)
        stream = paths.coordinator("q")
        stream.unlink()
        holder = subprocess.Popen(["flock", str(stream), "sleep", "1000"], start_new_session=True)
        wait_until(lambda: is_held(stream), "the stream is held")
        second = Executor(job, tmp_path)
        second.until(TaskState.TASK_RUNNING)
        (second.sandbox / "go").touch()
        wait_until(lambda: second.states("p") == ["SUCCESS"], "p is done")
        assert second.states("q") == ["WAITING"]
        os.killpg(holder.pid, signal.SIGKILL)
        holder.wait()
        assert second.finish() == FINISHED
        assert second.states("q") == ["SUCCESS"]

    def test_a_description_by_an_executor_of_another_version_is_the_same_task(self, tmp_path: Path) -> None:
        job = assigned(task(process("p", "echo up > up; until test -e go; do sleep 0.01; done")))
        first = Executor(job, tmp_path)
        first.wait_for_file("up")
        first.crash()
        description = TaskPaths(tmp_path / CHECKPOINTS, TASK_ID).active
        tree = json.loads(description.read_text())
        description.write_text(json.dumps({**tree, "news": 1}, indent=1))
        (first.sandbox / "go").touch()
        assert Executor(job, tmp_path).finish() == FINISHED


STUBBORN = "trap 'until test -e go; do sleep 0.01; done; exit 0' TERM; echo up > up; while true; do sleep 0.01; done"


def is_held(stream: Path) -> bool:
    try:
        StreamWriter(stream).close()
    except StreamHeld:
        return True
    return False


def cut_before(stream: Path, name: str, state: ProcessState) -> None:
    """Take away a record of a process and all that follows, but keep what other processes have there."""
    kept, gone = [], False
    for record in read_stream(stream):
        status = record.process_status
        gone = gone or (status is not None and (status.process, status.state) == (name, state))
        if not (gone and status is not None and status.process == name):
            kept.append(record)
    stream.write_bytes(b"".join(map(encode_frame, kept)))
