"""A task as the engine sees it (executor sheet, sections 4-6, 9, 10 and 13; tutorial-walkthrough sheet)."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import msgspec
import pytest
import trio

from aurorad.api.tasks import AssignedTask, Container, DockerContainer
from aurorad.engine.base import TaskState
from executor import checkpoint, preparation
from executor.checkers import CannotCheck, Checker, Outcome, RunningTask
from executor.execution import Execution, Tell
from executor.flags import ExecutorFlags
from executor.main import LOG
from executor.preparation import Fit
from executor.runner import Runner
from executor.sandbox import UnknownUser
from tests.executor.harness import Executor, alive, assigned, process, root_only, task, wait_until

STARTING = (TaskState.TASK_STARTING, None)
RUNNING = (TaskState.TASK_RUNNING, "No health-check defined, task is assumed healthy.")
KILLED = (TaskState.TASK_KILLED, "Instructed to kill task.")


def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_tutorials_script_fails_with_its_traceback_in_stderr_and_runs_once_mended(tmp_path: Path) -> None:
    script = tmp_path / "hello_world.py"
    text = "import time\nfor i in xrang(100):\n    print('Hello world!', flush=True)\n    time.sleep(10)\n"
    fetch = process("fetch_package", f"cp {script} . && echo 0cc175b9 && chmod +x hello_world.py")
    hello = process("hello_world", f"{sys.executable} -u hello_world.py")
    job = assigned(task(fetch, hello, order=("fetch_package", "hello_world")))

    script.write_text(text)
    (tmp_path / "first").mkdir()
    first = Executor(job, tmp_path / "first")
    assert first.finish() == (TaskState.TASK_FAILED, "Task failed.")
    assert first.updates == [STARTING, RUNNING, (TaskState.TASK_FAILED, "Task failed.")]
    assert first.output("fetch_package") == "0cc175b9\n"
    assert first.states("hello_world") == ["FAILED"]
    traceback = first.output("hello_world", stream="stderr")
    assert 'hello_world.py", line 2' in traceback
    assert "NameError: name 'xrang' is not defined" in traceback

    script.write_text(text.replace("xrang", "range"))
    (tmp_path / "second").mkdir()
    second = Executor(job, tmp_path / "second")
    second.wait_for_file(".logs/hello_world/0/stdout")
    second.kill()
    assert second.finish() == KILLED
    assert second.updates == [STARTING, RUNNING, KILLED]
    assert second.inhabitants() == []
    assert second.states("hello_world") == ["KILLED"]
    assert second.output("hello_world") == "Hello world!\n"


def test_shutdown_is_told_apart_from_kill_and_the_first_counts(tmp_path: Path) -> None:
    executor = Executor(assigned(task(process("p", "echo up > up; exec sleep 1000"))), tmp_path)
    executor.wait_for_file("up")
    executor.shutdown()
    wait_until(lambda: len(executor.state.statuses) > 1, "the end has begun")
    executor.kill()
    assert executor.finish() == (TaskState.TASK_KILLED, "Told to shut down executor.")


def test_a_kill_stays_one_if_the_last_process_ends_while_no_executor_looks(tmp_path: Path) -> None:
    last = "echo up > last; while ! test -e go; do sleep 0.01; done"
    work = task(process("p", "echo up > up; exec sleep 1000"), process("last", last, final=True))
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # so that asking the task to end takes both executors a while
        job = assigned(work, ports={"health": deaf.getsockname()[1]}, lifecycle={"http": {}})
        executor = Executor(job, tmp_path)
        executor.wait_for_file("up")
        executor.kill()
        executor.wait_for_file("last")
        executor.crash()
        coordinator = executor.runs("last")[0].coordinator_pid
        assert coordinator is not None
        (executor.sandbox / "go").touch()
        wait_until(lambda: not alive(coordinator), "the last process has ended")
        second = Executor(job, tmp_path)
        assert second.finish() == KILLED
    assert second.state.state is checkpoint.TaskState.KILLED


def test_a_kill_before_the_start_starts_nothing(tmp_path: Path) -> None:
    executor = Executor(assigned(task(process("p", "touch ran"))), tmp_path, killed_before=True)
    assert executor.finish() == (TaskState.TASK_KILLED, "Task killed during initialization.")
    assert executor.updates[0] == STARTING
    assert not executor.sandbox.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"executor_config": None},
            "Could not deserialize Thermos task from AssignedTask: Task did not have a thermos config!",
        ),
        (
            {"container": Container(docker=DockerContainer("image"))},
            "Failed to initialize sandbox: not within a Docker container: "
            "a Mesos agent starts them, the local engine has none",
        ),
    ],
)
def test_a_task_that_cannot_run_fails_with_the_reason(tmp_path: Path, change: dict[str, object], message: str) -> None:
    job = assigned(task(process("p", "true")))
    job = msgspec.structs.replace(job, task=msgspec.structs.replace(job.task, **change))
    executor = Executor(job, tmp_path)
    assert executor.finish() == (TaskState.TASK_FAILED, message)
    assert executor.updates == [STARTING, (TaskState.TASK_FAILED, message)]


def test_an_invalid_task_fails_with_the_reason(tmp_path: Path) -> None:
    cycle = task(process("a", "true"), process("b", "true"), order=("a", "b", "a"))
    state, message = Executor(assigned(cycle), tmp_path).finish()
    assert state == TaskState.TASK_FAILED
    assert message == (
        "Could not deserialize Thermos task from AssignedTask: "
        "Got invalid task: Task has invalid plan: Cycles detected in the task schedule!"
    )


def test_a_disk_that_is_full_from_the_start_fails_the_task(tmp_path: Path) -> None:
    executor = Executor(assigned(task(process("p", "true"))), tmp_path, file_limit=10)
    state, message = executor.finish()
    assert state == TaskState.TASK_FAILED
    assert message is not None
    assert message.startswith("Failed to load task: ")


def test_templates_and_ports_are_filled_in(tmp_path: Path) -> None:
    said = "{{thermos.task_id}} {{mesos.instance}} {{mesos.hostname}} {{thermos.ports[http]}}"
    executor = Executor(assigned(task(process("p", f"echo {said}")), ports={"http": 31000}), tmp_path)
    executor.finish()
    assert executor.output("p") == "role-test-job-0-1234 0 host.example 31000\n"
    header = executor.state.header
    assert header is not None
    assert (header.hostname, dict(header.ports)) == ("host.example", {"http": 31000})
    assert header.sandbox == str(executor.sandbox)


class TestUsers:
    @root_only
    def test_root_runs_a_task_as_the_roles_user(self, open_path: Path) -> None:
        who = process("who", "id -un; id -u; id -G; echo $USER; touch mine; test -w / || echo tame")
        executor = Executor(assigned(task(who), role="nobody"), open_path)
        assert executor.finish() == (TaskState.TASK_FINISHED, "Task finished.")
        name, uid, _, user, tame = executor.output("who").splitlines()
        assert (name, user, tame) == ("nobody", "nobody", "tame")
        assert (executor.sandbox / "mine").stat().st_uid == int(uid)
        assert executor.sandbox.stat().st_uid == int(uid)
        assert stat.S_IMODE(executor.sandbox.stat().st_mode) == 0o700
        assert (executor.sandbox / ".logs/who/0/stdout").stat().st_uid == int(uid)
        assert (open_path / "checkpoints").stat().st_uid == 0
        header = executor.state.header
        assert header is not None
        assert (header.user, header.uid) == ("nobody", int(uid))

    @root_only
    def test_a_way_that_is_closed_to_the_user_does_not_keep_a_task_from_running(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o700)
        executor = Executor(assigned(task(process("p", "pwd; echo hello > file; cat file")), role="nobody"), tmp_path)
        assert executor.finish() == (TaskState.TASK_FINISHED, "Task finished.")
        assert executor.output("p") == f"{executor.sandbox}\nhello\n"

    @root_only
    def test_a_log_directory_that_leads_elsewhere_leads_no_root_there(self, open_path: Path) -> None:
        elsewhere = open_path / "elsewhere"
        elsewhere.mkdir()
        trap = process("trap", f"ln -s {elsewhere} .logs/victim")
        executor = Executor(
            assigned(task(trap, process("victim", "true"), order=("trap", "victim")), role="nobody"), open_path
        )
        executor.finish()
        assert executor.states("victim") == ["FAILED"]
        assert list(elsewhere.iterdir()) == []

    @root_only
    def test_root_refuses_a_role_without_a_user(self, tmp_path: Path) -> None:
        executor = Executor(assigned(task(process("p", "touch ran")), role="no-such-user"), tmp_path)
        assert executor.finish() == (
            TaskState.TASK_FAILED,
            "Failed to initialize sandbox: Could not create sandbox because user does not exist: no-such-user",
        )
        assert not executor.sandbox.exists()

    def test_told_not_to_change_user_it_says_so_once(self, tmp_path: Path) -> None:
        executor = Executor(
            assigned(task(process("p", "id -u")), role="no-such-user"), tmp_path, flags=ExecutorFlags(nosetuid=True)
        )
        assert executor.finish() == (TaskState.TASK_FINISHED, "Task finished.")
        assert executor.output("p") == f"{os.geteuid()}\n"
        assert (tmp_path / LOG).read_text().count("not as the user no-such-user") == 1


class TestContainers:
    def docker(self, command: str) -> AssignedTask:
        job = assigned(task(process("p", command)), role="no-such-user")
        container = Container(docker=DockerContainer("image"))
        return msgspec.structs.replace(job, task=msgspec.structs.replace(job.task, container=container))

    def test_within_docker_the_directory_has_its_name_on_the_host_and_the_user_is_the_containers(
        self, tmp_path: Path
    ) -> None:
        mounted, on_host = tmp_path / "mnt", tmp_path / "var" / "run"
        mounted.mkdir(mode=0o700)
        executor = Executor(self.docker("id -u; echo $HOME"), on_host, mounted=mounted)
        assert executor.finish() == (TaskState.TASK_FINISHED, "Task finished.")
        assert executor.output("p") == f"{os.geteuid()}\n{on_host}/sandbox\n"
        assert on_host.readlink() == mounted
        assert stat.S_IMODE(mounted.stat().st_mode) == 0o755
        header = executor.state.header
        assert header is not None
        assert header.sandbox == f"{on_host}/sandbox"

    def test_a_name_on_the_host_that_is_taken_fails_the_task(self, tmp_path: Path) -> None:
        mounted, on_host = tmp_path / "mnt", tmp_path / "var" / "run"
        mounted.mkdir()
        on_host.mkdir(parents=True)
        state, message = Executor(self.docker("true"), on_host, mounted=mounted).finish()
        assert state == TaskState.TASK_FAILED
        assert message is not None
        assert message.startswith("Failed to initialize sandbox: Failed to create the sandbox: [Errno 17] File exists")


class TestOutcomes:
    """What ends a task, and what it is told as (executor sheet, section 5)."""

    FOREVER = "trap 'echo term >> story; exit 0' TERM; echo up > up; while :; do sleep 0.05; done"

    def test_a_checkers_outcome_ends_the_task_and_checkers_stop_first(self, tmp_path: Path) -> None:
        def watch(running: RunningTask) -> Checker:
            async def check() -> Outcome:
                while not (running.directory.sandbox / "up").exists():  # noqa: ASYNC110
                    await trio.sleep(0.01)
                return Outcome(TaskState.TASK_FAILED, "seen")

            return check

        def leave(running: RunningTask) -> Checker:
            async def check() -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    (running.directory.sandbox / "story").write_text("checker\n")

            return check

        executor = Executor(
            assigned(task(process("p", self.FOREVER))), tmp_path, checkers=(watch, leave, lambda task: None)
        )
        assert executor.finish() == (TaskState.TASK_FAILED, "seen")
        assert (executor.sandbox / "story").read_text() == "checker\nterm\n"
        assert executor.inhabitants() == []

    @pytest.mark.parametrize(
        ("error", "message"),
        [(CannotCheck("not like this"), "not like this"), (KeyError("x"), "Internal error")],
    )
    def test_a_checker_that_cannot_be_made_fails_the_task(self, tmp_path: Path, error: Exception, message: str) -> None:
        def fail(running: RunningTask) -> Checker:
            raise error

        executor = Executor(assigned(task(process("p", "exec sleep 1000"))), tmp_path, checkers=(fail,))
        assert executor.finish() == (TaskState.TASK_FAILED, message)
        assert executor.inhabitants() == []

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (AssertionError(), "Thermos failed with internal error."),
            (OSError("broken"), "Thermos failed with an unknown error."),
        ],
    )
    def test_a_runner_that_fails_loses_the_task(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
    ) -> None:
        def fail(*arguments: object) -> None:
            raise error

        monkeypatch.setattr(Runner, "_active", fail)
        executor = Executor(assigned(task(process("p", "true"))), tmp_path)
        assert executor.finish() == (TaskState.TASK_LOST, message)

    def test_a_runner_that_cannot_be_made_fails_the_task(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*arguments: object) -> None:
            raise RuntimeError("no idea")

        monkeypatch.setattr(Runner, "take_control", fail)
        executor = Executor(assigned(task(process("p", "true"))), tmp_path)
        assert executor.finish() == (TaskState.TASK_FAILED, "Unknown exception starting runner: no idea")

    def test_a_task_that_was_over_before_it_was_killed_ended_as_it_did(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        supervise = Execution._supervise

        async def ends_while_killed(self: Execution, fit: Fit, tell: Tell) -> Outcome:
            async def run() -> checkpoint.TaskState:
                self.kill()
                return checkpoint.TaskState.SUCCESS

            monkeypatch.setattr(fit.runner, "run", run)
            return await supervise(self, fit, tell)

        monkeypatch.setattr(Execution, "_supervise", ends_while_killed)
        executor = Executor(assigned(task(process("p", "true"))), tmp_path, checkers=())
        assert executor.finish() == (TaskState.TASK_FINISHED, "Instructed to kill task.")

    @root_only
    def test_a_running_task_whose_user_went_away_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        job = assigned(task(process("p", "echo up > up; exec sleep 1000")), role="nobody")
        first = Executor(job, tmp_path)
        first.wait_for_file("up")
        first.crash()

        def nowhere(*arguments: object) -> None:
            raise UnknownUser("Could not create sandbox because user does not exist: nobody")

        monkeypatch.setattr(preparation, "user_for", nowhere)
        second = Executor(job, tmp_path)
        assert second.finish() == (TaskState.TASK_FAILED, "Task started with unknown user.")

    def test_a_shutdown_leaves_time_to_tell_of_the_end(self, tmp_path: Path) -> None:
        deaf = process("p", "trap : TERM; echo up > up; while :; do sleep 0.05; done")
        executor = Executor(assigned(task(deaf)), tmp_path, grace_s=1.0)
        executor.wait_for_file("up")
        executor.shutdown()
        assert executor.finish() == (TaskState.TASK_KILLED, "Told to shut down executor.")
        assert executor.states("p") == ["KILLED"]

    def test_a_shutdown_hurries_a_kill_on(self, tmp_path: Path) -> None:
        deaf = process("p", "trap 'echo told > told' TERM; echo up > up; while :; do sleep 0.05; done")
        executor = Executor(assigned(task(deaf)), tmp_path, grace_s=0.5)
        executor.wait_for_file("up")
        executor.kill()
        executor.wait_for_file("told")
        executor.shutdown()
        assert executor.finish() == KILLED


@root_only
def test_another_user_may_be_named_for_all_tasks(open_path: Path) -> None:
    executor = Executor(
        assigned(task(process("p", "id -un")), role="no-such-user"),
        open_path,
        flags=ExecutorFlags(execute_as_user="nobody"),
    )
    assert executor.finish() == (TaskState.TASK_FINISHED, "Task finished.")
    assert executor.output("p") == "nobody\n"


@root_only
def test_health_checks_run_as_the_tasks_user_unless_told_otherwise(open_path: Path) -> None:
    checks = {"health_checker": {"shell": {"shell_command": "id -u > seen || exit 1"}}}
    config = {**checks, "interval_secs": 0.05, "timeout_secs": 20}
    job = assigned(task(process("p", "exec sleep 1000")), role="nobody", health_check_config=config)
    open_path.chmod(0o777)
    for name, flags, uid in (("a", ExecutorFlags(), "65534"), ("b", ExecutorFlags(nosetuid_health_checks=True), "0")):
        directory = open_path / name
        directory.mkdir()
        directory.chmod(0o777)
        executor = Executor(job, directory, flags=flags)
        executor.until(TaskState.TASK_RUNNING)
        executor.kill()
        assert executor.finish() == KILLED
        assert (directory / "seen").read_text() == f"{uid}\n"


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, code, body):
        self.send_response(code); self.end_headers(); self.wfile.write(body)
    def do_GET(self):
        self.answer(200, open("health").read().encode())
    def do_POST(self):
        print(self.path, flush=True)
        self.answer(200, b"")
        if self.path == sys.argv[2]:
            import os; os._exit(0)
    def log_message(self, *words):
        pass
open("health", "a").close()
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
open("up", "w").write("up\\n")
server.serve_forever()
"""


class TestHttp:
    def start(self, directory: Path, *, quits_on: str) -> Executor:
        (directory / "server.py").write_text(SERVER)
        command = f"echo ok > health; exec {sys.executable} -u ../server.py {{{{thermos.ports[health]}}}} {quits_on}"
        config = {
            "initial_interval_secs": 0.1,
            "interval_secs": 0.05,
            "max_consecutive_failures": 200,
            "timeout_secs": 5,
        }
        lifecycle = {"http": {"graceful_shutdown_wait_secs": 1, "shutdown_wait_secs": 10}}
        job = assigned(
            task(process("server", command)), ports={"health": port()}, health_check_config=config, lifecycle=lifecycle
        )
        return Executor(job, directory)

    def test_a_healthy_task_runs_and_ends_when_asked_gracefully(self, tmp_path: Path) -> None:
        executor = self.start(tmp_path, quits_on="/quitquitquit")
        assert executor.until(TaskState.TASK_RUNNING) == "Task is healthy."
        executor.kill()
        assert executor.finish() == KILLED
        assert executor.output("server") == "/quitquitquit\n"
        assert executor.states("server") == ["SUCCESS"]

    def test_what_does_not_quit_is_asked_to_abort(self, tmp_path: Path) -> None:
        executor = self.start(tmp_path, quits_on="/abortabortabort")
        executor.until(TaskState.TASK_RUNNING)
        executor.kill()
        assert executor.finish() == KILLED
        assert executor.output("server") == "/quitquitquit\n/abortabortabort\n"

    def test_a_task_that_becomes_unhealthy_fails(self, tmp_path: Path) -> None:
        command = "until test -e sandbox/up; do sleep 0.01; done; test ! -e sandbox/sick"
        checks = {"health_checker": {"shell": {"shell_command": command}}}
        config = {**checks, "initial_interval_secs": 0, "interval_secs": 0.02, "timeout_secs": 20}
        job = assigned(task(process("p", "echo up > up; exec sleep 1000")), health_check_config=config)
        executor = Executor(job, tmp_path)
        executor.until(TaskState.TASK_RUNNING)
        (executor.sandbox / "sick").touch()
        assert executor.finish() == (
            TaskState.TASK_FAILED,
            f"Failed health check! Command '{command}' returned non-zero exit status 1 with output ''",
        )
        assert executor.inhabitants() == []

    def test_a_shell_check_gates_running(self, tmp_path: Path) -> None:
        checks = {"health_checker": {"shell": {"shell_command": "test -e sandbox/up"}}}
        config = {**checks, "initial_interval_secs": 0, "interval_secs": 0.02, "max_consecutive_failures": 500}
        job = assigned(
            task(process("p", "sleep 0.1; echo up > up; exec sleep 1000")),
            health_check_config={**config, "timeout_secs": 5},
        )
        executor = Executor(job, tmp_path)
        assert executor.until(TaskState.TASK_RUNNING) == "Task is healthy."
        assert (executor.sandbox / "up").exists()
        executor.kill()
        assert executor.finish() == KILLED
