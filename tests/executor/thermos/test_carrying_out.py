"""Tasks run by `thermos run` and `thermos simplerun`, in processes of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from executor.checkpoint import CheckpointError, ProcessState
from executor.paths import TaskPaths
from tests.executor.harness import alive, wait_until
from tests.executor.thermos.command import Command, look, run, state_of

STUBBORN = "trap '' TERM; echo up > up; while true; do sleep 0.05; done"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


def config(root: Path, *processes: str, name: str = "hello") -> Path:
    file = root.parent / "hello.thermos"
    file.write_text(f"export(Task(name = {name!r}, finalization_wait = 60, processes = [{', '.join(processes)}]))\n")
    return file


def process(name: str, cmdline: str, more: str = "") -> str:
    return f"Process(name = {name!r}, cmdline = {cmdline!r}, min_duration = 0, {more})"


def running(root: Path, task_id: str = "id") -> int:
    """Waits until it does, and gives the pid of the only process."""

    def runs() -> bool:
        try:
            ((run,),) = state_of(root, task_id).processes.values()
        except (ValueError, CheckpointError):
            return False
        return run.state == ProcessState.RUNNING and (root / "sandboxes" / task_id / "up").exists()

    wait_until(runs, "the process runs")
    ((found,),) = state_of(root, task_id).processes.values()
    assert found.pid is not None
    return found.pid


def test_a_task_is_run_to_its_end(root: Path) -> None:
    file = config(root, process("say", "echo {{word}} {{thermos.ports[http]}}; echo $HOME"))
    done = run(root, "run", "--task_id", "id", "-P", "http:80", "-E", "word=hi", file)
    sandbox = root / "sandboxes" / "id"
    assert (done.returncode, done.stdout) == (0, f"Task id runs in {sandbox}\n")
    assert (sandbox / ".logs" / "say" / "0" / "stdout").read_text() == f"hi 80\n{sandbox}\n"
    assert [status.state.name for status in state_of(root, "id").statuses][-1] == "SUCCESS"
    assert TaskPaths(root, "id").finished.exists()
    again = run(root, "run", "--task_id", "id", "-P", "http:80", "-E", "word=hi", file)
    assert (again.returncode, again.stderr) == (1, "Task id is over, SUCCESS: give another --task_id, or none\n")


def test_a_failure_is_told_with_where_to_look(root: Path) -> None:
    done = run(root, "run", "--task_id", "id", config(root, process("p", "exit 7")))
    assert done.returncode == 3
    logs = root / "sandboxes" / "id" / ".logs" / "p" / "0"
    assert done.stderr.endswith(f"Process p: FAILED, return code 7, see {logs}\n")


def test_ports_must_be_given(root: Path) -> None:
    done = run(root, "run", config(root, process("p", "echo {{thermos.ports[b]}} {{thermos.ports[a]}}")))
    says = "ERROR!  Unbound ports: a b (give them: -P a:NUMBER -P b:NUMBER)\n"
    assert (done.returncode, done.stderr) == (1, says)
    assert not root.exists()


def test_an_interrupt_ends_the_task_with_its_finalizing_processes(root: Path) -> None:
    main = process("main", "echo up > up; while true; do sleep 0.05; done")
    runner = Command(
        root, "run", "--task_id", "id", config(root, main, process("bye", "echo bye > bye", "final = True"))
    )
    wait_until((root / "sandboxes" / "id" / "up").exists, "it runs")
    runner.process.send_signal(signal.SIGINT)
    done = runner.end()
    assert done.returncode == 4
    assert "Got keyboard interrupt, killing job!" in done.stderr
    assert (root / "sandboxes" / "id" / "bye").exists()
    assert state_of(root, "id").statuses[-1].state.name == "KILLED"


def test_a_second_interrupt_ends_it_at_once(root: Path) -> None:
    runner = Command(root, "run", "--task_id", "id", config(root, process("main", STUBBORN)))
    pid = running(root)
    runner.process.send_signal(signal.SIGTERM)
    wait_until(lambda: state_of(root, "id").statuses[-1].state.name == "CLEANING", "it was asked to end")
    runner.process.send_signal(signal.SIGTERM)
    assert runner.end().returncode == 4
    assert not alive(pid)


def test_a_task_whose_runner_was_killed_goes_on(root: Path) -> None:
    file = config(root, process("main", "echo up > up; until test -e go; do sleep 0.05; done"))
    runner = Command(root, "run", "--task_id", "id", file)
    pid = running(root)
    held = run(root, "run", "--task_id", "id", file)
    assert (held.returncode, held.stderr) == (1, "Task id is being run already (end it: thermos kill id)\n")
    runner.process.kill()
    runner.end()
    assert alive(pid)
    heir = Command(root, "run", "--task_id", "id", file)
    wait_until(lambda: len(state_of(root, "id").statuses) == 2, "somebody took over")
    (root / "sandboxes" / "id" / "go").touch()
    assert heir.end().returncode == 0
    (only,) = state_of(root, "id").processes["main"]
    assert (only.pid, only.state.name) == (pid, "SUCCESS")


def test_another_task_under_the_same_id_is_refused(root: Path) -> None:
    runner = Command(root, "run", "--task_id", "id", config(root, process("main", STUBBORN)))
    running(root)
    runner.process.kill()
    runner.end()
    other = run(root, "run", "--task_id", "id", config(root, process("main", "true")))
    assert other.returncode == 1
    assert "Task id: Task differs from on disk copy: " in other.stderr
    assert look(root, "kill", "id").stdout == "Killing id...done.\n"


def test_a_daemon_leaves_the_terminal_and_can_be_killed(root: Path) -> None:
    done = run(root, "run", "--daemon", "--task_id", "id", config(root, process("main", STUBBORN)))
    words = ["Daemonizing and starting runner.", f"Task id runs in {root / 'sandboxes' / 'id'}"]
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, words, "")
    pid = running(root)
    runner = state_of(root, "id").statuses[-1].runner_pid
    assert runner is not None
    assert {os.readlink(f"/proc/{runner}/fd/{fd}") for fd in (0, 1, 2)} == {os.devnull}
    assert os.getsid(runner) not in (runner, os.getsid(0))
    again = run(root, "run", "--daemon", "--task_id", "id", root.parent / "hello.thermos")
    assert (again.returncode, again.stderr) == (1, "Task id is being run already (end it: thermos kill id)\n")
    assert look(root, "kill", "i").stdout == "Killing id...done.\n"
    wait_until(lambda: not alive(pid) and not alive(runner), "all dead")
    assert state_of(root, "id").statuses[-1].state.name == "KILLED"


def test_a_kill_finds_what_left_its_session(root: Path) -> None:
    (root.parent / "away").write_text("setsid sh -c 'echo $$ > away; exec sleep 1000' &")
    escaping = f"setsid sh {root.parent / 'away'} & until test -s away; do sleep 0.05; done; echo up > up; sleep 999"
    run(root, "run", "--daemon", "--task_id", "id", config(root, process("main", escaping)))
    running(root)
    away = int((root / "sandboxes" / "id" / "away").read_text())
    assert alive(away)
    look(root, "kill", "id")
    wait_until(lambda: not alive(away), "dead")


def test_a_command_line_is_a_task(root: Path) -> None:
    done = run(root, "simplerun", "-E", "word=hi", "--task_id", "id", "echo", "{{word}};", "pwd", "-P")
    sandbox = root / "sandboxes" / "id"
    assert done.returncode == 0
    assert done.stdout.splitlines()[0] == "Running command: 'echo {{word}}; pwd -P'"
    assert (sandbox / ".logs" / "simple" / "0" / "stdout").read_text() == f"hi\n{sandbox}\n"


def test_a_command_line_shows_what_it_says(root: Path) -> None:
    done = run(root, "simplerun", "--", "echo said; echo asked >&2")
    assert "\nsaid\n" in done.stdout
    assert "\nasked\n" in done.stderr


def test_a_command_line_runs_in_a_fresh_folder(root: Path) -> None:
    done = run(root, "simplerun", "--name", "mine", "--", "exit 5")
    assert done.returncode == 3
    (task,) = (root / "tasks" / "finished").iterdir()
    assert task.name.startswith("mine-")
    header = state_of(root, task.name).header
    assert header is not None
    assert Path(header.sandbox or "").parent == root.parent / "home"


def test_defaults_come_from_the_home(root: Path) -> None:
    home = root.parent / "home"
    home.mkdir()
    (home / ".thermosrc").write_text("[simplerun]\noptions = --root ~/other --task_id fixed\n")
    assert run(root, "simplerun", "true").returncode == 0
    assert TaskPaths(root, "fixed").finished.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "Should specify precisely one config, instead got: "),
        (["run", "a", "b"], "Should specify precisely one config, instead got: a b"),
        (["run", "--task", "x", "none.thermos"], "Could not load resource none.thermos: No such file or directory"),
        (["simplerun"], "Should specify a command line to run"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path: Path, words: list[str], says: str) -> None:
    result = look(tmp_path, *words)
    assert (result.exit_code, result.stderr) == (1, f"{says}\n")


def test_inspect_shows_the_task_as_python_writes_it(root: Path) -> None:
    shown = look(root, "inspect", "-E", "word=hi", str(config(root, process("say", "echo {{word}}"))))
    assert shown.exit_code == 0
    task = eval(shown.stdout)
    assert task["name"] == "hello"
    assert task["processes"][0]["cmdline"] == "echo hi"
    assert isinstance(task["processes"], tuple)


@pytest.mark.parametrize("word", ["http", "http:", ":80", "http:0", "http:65536", "http:x"])
def test_a_port_is_a_name_and_a_number(tmp_path: Path, word: str) -> None:
    result = look(tmp_path, "run", "-P", word, "file")
    assert result.exit_code == 2
    assert "NAME:PORT was expected" in result.stderr
