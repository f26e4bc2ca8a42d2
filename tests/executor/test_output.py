"""Where the output of processes goes (thermos-runner sheet, section 9)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.engine.base import TaskState
from executor.flags import ExecutorFlags
from executor.logger import LoggerSettings
from executor.output import Console, LogFile, Tee, open_log, open_output, pass_on
from tests.executor.harness import Executor, alive, assigned, process, root_only, run_task, task, wait_until

FINISHED = (TaskState.TASK_FINISHED, "Task finished.")
ROTATE = {"destination": "file", "mode": "rotate"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[int]:
    """An open directory of logs."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def logs(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(directory.iterdir())}


def rotating(place: int, log_size: int, backups: int) -> LogFile:
    return LogFile(place, "stdout", LoggerSettings("file", "rotate", log_size, backups))


def plant_directory(logs: Path) -> None:
    (logs / "stdout.1" / "x").mkdir(parents=True)


def plant_pipe(logs: Path) -> None:
    (logs / "stdout").unlink()
    os.mkfifo(logs / "stdout")


def remove_all(logs: Path) -> None:
    (logs / "stdout").unlink()
    logs.rmdir()


class TestRollOver:
    def test_a_log_that_has_its_size_becomes_the_first_of_the_old_ones(self, place: int, tmp_path: Path) -> None:
        log = rotating(place, 10, 2)
        story = [
            ("aaaaa", {"stdout": "aaaaa"}),
            ("aaaaa", {"stdout": "", "stdout.1": "aaaaaaaaaa"}),
            ("bbbbbbbbbbbb", {"stdout": "", "stdout.1": "bbbbbbbbbbbb", "stdout.2": "aaaaaaaaaa"}),
            ("c", {"stdout": "c", "stdout.1": "bbbbbbbbbbbb", "stdout.2": "aaaaaaaaaa"}),
            ("ddddddddd", {"stdout": "", "stdout.1": "cddddddddd", "stdout.2": "bbbbbbbbbbbb"}),
        ]
        for written, then in story:
            log.write(written.encode())
            assert logs(tmp_path) == then

    def test_one_backup_is_one_backup(self, place: int, tmp_path: Path) -> None:
        log = rotating(place, 1, 1)
        for written in ("a", "b", "c"):
            log.write(written.encode())
        assert logs(tmp_path) == {"stdout": "", "stdout.1": "c"}

    def test_a_rotated_log_begins_empty(self, place: int, tmp_path: Path) -> None:
        (tmp_path / "stdout").write_text("old")
        rotating(place, 10, 1).write(b"new")
        assert logs(tmp_path) == {"stdout": "new"}

    def test_a_standard_log_goes_on_after_what_is_there_and_never_rolls_over(self, place: int, tmp_path: Path) -> None:
        (tmp_path / "stdout").write_text("old ")
        log = LogFile(place, "stdout", LoggerSettings("both", "standard", 1, 1))
        log.write(b"new")
        assert logs(tmp_path) == {"stdout": "old new"}

    @given(log_size=st.integers(1, 30), backups=st.integers(1, 4), sizes=st.lists(st.integers(1, 40), max_size=40))
    def test_the_newest_output_is_kept_and_no_more_than_was_asked_for(
        self, log_size: int, backups: int, sizes: list[int], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        directory = tmp_path_factory.mktemp("logs")
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        log = rotating(place, log_size, backups)
        said = b""
        for number, size in enumerate(sizes):
            chunk = bytes([65 + number % 26]) * size
            log.write(chunk)
            said += chunk
        os.close(place)
        names = ["stdout", *(f"stdout.{n}" for n in range(1, backups + 1))]
        kept = [(directory / name).read_bytes() for name in names if (directory / name).exists()]
        assert len(kept) == len(list(directory.iterdir()))
        assert said.endswith(b"".join(reversed(kept)))
        assert all(len(content) < log_size + 40 for content in kept)
        assert len(kept[0]) < log_size
        assert all(len(content) >= log_size for content in kept[1:])

    @pytest.mark.parametrize("harm", [plant_directory, plant_pipe, remove_all])
    def test_a_log_stays_in_bounds_whatever_is_in_its_way(self, tmp_path: Path, harm: Callable[[Path], None]) -> None:
        directory = tmp_path / "logs"
        directory.mkdir()
        place = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        log = rotating(place, 100, 1)
        harm(directory)
        for _ in range(50):
            log.write(b"x" * 30)
        assert os.fstat(log._fd).st_size < 100
        files = [path for path in directory.iterdir() if path.is_file()] if directory.exists() else []
        assert sum(path.stat().st_size for path in files) < 300
        os.close(place)

    def test_a_removed_log_comes_back(self, place: int, tmp_path: Path) -> None:
        log = rotating(place, 3, 1)
        (tmp_path / "stdout").unlink()
        log.write(b"lost")
        log.write(b"ok")
        assert logs(tmp_path) == {"stdout": "ok"}

    def test_a_link_in_its_way_is_replaced_and_not_followed(self, place: int, tmp_path: Path) -> None:
        victim = tmp_path.parent / "victim"
        victim.write_text("precious")
        log = rotating(place, 3, 1)
        (tmp_path / "stdout.1").symlink_to(victim)
        log.write(b"abc")
        assert (tmp_path / "stdout.1").read_text() == "abc"
        assert victim.read_text() == "precious"


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_only_files_are_opened_as_logs(place: int, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "stdout"
    if kind == "link":
        path.symlink_to("elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
        os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that it could be written to
    else:
        path.mkdir()
    with pytest.raises(OSError):
        open_log(place, "stdout")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("settings", "files", "piped"),
    [
        (LoggerSettings("file"), True, False),
        (LoggerSettings("file", "rotate"), True, True),
        (LoggerSettings("both"), True, True),
        (LoggerSettings("both", "rotate"), True, True),
        (LoggerSettings("console"), False, False),
        (LoggerSettings("console", "rotate"), False, False),
        (LoggerSettings("none"), False, False),
        (LoggerSettings("none", "rotate"), False, False),
    ],
)
def test_pipes_and_files_are_there_only_where_they_are_needed(
    tmp_path: Path, settings: LoggerSettings, files: bool, piped: bool
) -> None:
    directory = tmp_path / ".logs/p/0"
    output = open_output(settings, directory)
    output.close_ends()
    assert settings.piped == piped
    assert len(output.tees) == (2 if piped else 0)
    assert directory.exists() == files
    if files:
        assert logs(directory) == {"stdout": "", "stderr": ""}


def test_a_tee_gives_the_pipe_to_all_and_tells_its_end(place: int, tmp_path: Path) -> None:
    pipe, end = os.pipe()
    far, console = os.pipe()
    tee = Tee(pipe, (LogFile(place, "stdout", LoggerSettings("both")), Console(console)))
    os.write(end, b"hello")
    tee.drain()
    over = [tee.over]
    os.write(end, b" again")
    os.close(end)
    over.append(tee.over)
    pass_on([tee])
    over.append(tee.over)
    assert over == [False, False, True]
    assert logs(tmp_path) == {"stdout": "hello again"}
    assert os.read(far, 100) == b"hello again"


def test_passing_on_ends_when_it_shall_though_the_pipe_is_open(place: int, tmp_path: Path) -> None:
    pipe, end = os.pipe()
    over, tell = os.pipe()
    os.write(end, b"hello")
    os.write(tell, b"x")
    pass_on([Tee(pipe, (LogFile(place, "stdout", LoggerSettings("both")),))], until=over)
    assert logs(tmp_path) == {"stdout": "hello"}


def test_a_console_that_nobody_reads_does_not_keep_the_file_from_being_written(
    place: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pipe, end = os.pipe()
    far, console = os.pipe()
    os.close(far)
    tee = Tee(pipe, (Console(console), LogFile(place, "stdout", LoggerSettings("both"))))
    for _ in range(3):
        os.write(end, b"x")
        tee.pass_on()
    assert logs(tmp_path) == {"stdout": "xxx"}
    assert capfd.readouterr().err == "output is lost: [Errno 32] Broken pipe\n"


# With real processes


@pytest.mark.parametrize("mode", ["standard", "rotate"])
@pytest.mark.parametrize(
    ("destination", "in_files", "on_console"),
    [("file", True, False), ("console", False, True), ("both", True, True), ("none", False, False)],
)
def test_output_goes_where_the_logger_says(
    tmp_path: Path, destination: str, mode: str, in_files: bool, on_console: bool
) -> None:
    say = process("p", "echo out; echo err >&2", logger={"destination": destination, "mode": mode})
    done = run_task(tmp_path, task(say), console=True)
    assert done.updates[-1] == FINISHED
    assert (done.sandbox / ".logs").exists() == in_files
    if in_files:
        assert (done.output("p"), done.output("p", stream="stderr")) == ("out\n", "err\n")
    assert (tmp_path / "stdout").read_text() == ("out\n" if on_console else "")
    assert (tmp_path / "stderr").read_text() == ("err\n" if on_console else "")


def test_the_runners_settings_are_for_processes_without_a_logger(tmp_path: Path) -> None:
    say = [process("a", "echo a"), process("b", "echo b", logger={"destination": "file"})]
    done = run_task(tmp_path, task(*say), console=True, flags=ExecutorFlags(runner_logger_destination="console"))
    assert (tmp_path / "stdout").read_text() == "a\n"
    assert not (done.sandbox / ".logs/a").exists()
    assert done.output("b") == "b\n"


def test_all_that_a_process_says_is_in_its_logs_to_the_last_word(tmp_path: Path) -> None:
    logger = {**ROTATE, "rotate": {"log_size": 100_000, "backups": 30}}
    done = run_task(tmp_path, task(process("p", "seq 200000; seq 200000 >&2", logger=logger)))
    expected = "".join(f"{n}\n" for n in range(1, 200001))
    for stream in ("stdout", "stderr"):
        numbers = range(len(list((done.sandbox / ".logs/p/0").glob(f"{stream}.*"))), 0, -1)
        parts = [done.output("p", stream=f"{stream}.{n}") for n in numbers]
        assert "".join([*parts, done.output("p", stream=stream)]) == expected
        assert len(parts) >= 8


def test_a_run_ends_with_its_command_though_a_child_holds_its_output(tmp_path: Path) -> None:
    done = run_task(tmp_path, task(process("p", "sleep 1000 & echo done", logger=ROTATE)))
    assert done.updates[-1] == FINISHED
    assert done.output("p") == "done\n"
    assert done.inhabitants() == []


def test_a_daemon_that_escaped_may_go_on_writing(tmp_path: Path) -> None:
    daemon = "until test -e go; do sleep 0.01; done; echo late; echo later >&2; echo yes > survived"
    escape = process("p", f"(setsid bash -c '{daemon}' &); echo early", logger=ROTATE)
    wait = process("q", "touch go; until test -s survived; do sleep 0.01; done")
    done = run_task(tmp_path, task(escape, wait, order=("p", "q")))
    assert done.updates[-1] == FINISHED
    assert done.output("p") == "early\nlate\n"
    assert done.output("p", stream="stderr") == "later\n"
    assert done.inhabitants() == []


def test_the_next_run_need_not_wait_for_what_the_last_one_left_behind(tmp_path: Path) -> None:
    escape = "(setsid sleep 1000 &); echo x >> n; test $(wc -l < n) = 3"
    done = run_task(tmp_path, task(process("p", escape, max_failures=3, logger=ROTATE), finalization_wait=2))
    assert done.states("p") == ["FAILED", "FAILED", "SUCCESS"]
    assert done.inhabitants() == []


def test_last_words_of_children_are_heard(tmp_path: Path) -> None:
    child = 'trap "sleep 0.2; echo bye; exit" TERM; echo up > up; while :; do sleep 0.01; done'
    executor = Executor(assigned(task(process("p", f"bash -c '{child}' & wait", logger=ROTATE))), tmp_path)
    executor.wait_for_file("up")
    executor.kill()
    executor.finish()
    assert executor.output("p") == "bye\n"


def test_a_flood_stays_within_its_bounds_and_is_ended_at_once(tmp_path: Path) -> None:
    logger = {**ROTATE, "rotate": {"log_size": 200_000, "backups": 2}}
    flood = "trap '' TERM; while :; do head -c 1000000 /dev/zero; echo x >> floods; done"
    executor = Executor(assigned(task(process("p", flood, logger=logger))), tmp_path, kill_wait_s=0.2)
    floods = executor.sandbox / "floods"
    directory = executor.sandbox / ".logs/p/0"
    wait_until(lambda: floods.exists() and floods.stat().st_size > 60, "tens of megabytes written")
    executor.kill()
    assert executor.finish() == (TaskState.TASK_KILLED, "Instructed to kill task.")
    sizes = [path.stat().st_size for path in directory.iterdir()]
    assert max(sizes) > 0
    assert sum(sizes) <= 3 * (200_000 + 65_536)
    assert executor.inhabitants() == []


def test_output_goes_on_while_there_is_no_executor(tmp_path: Path) -> None:
    say = "echo one; until test -e go; do sleep 0.01; done; echo two; until test -e end; do sleep 0.01; done; echo 3"
    job = assigned(task(process("p", say, logger={"destination": "both"})))
    first = Executor(job, tmp_path, console=True)
    wait_until(lambda: (tmp_path / "stdout").exists() and (tmp_path / "stdout").read_text() == "one\n", "one")
    wait_until(lambda: first.states("p") == ["RUNNING"], "on record")
    boss = first.runs("p")[0].coordinator_pid or 0
    first.crash()
    (first.sandbox / "go").touch()
    wait_until(lambda: first.output("p") == "one\ntwo\n", "two")
    assert alive(boss)
    second = Executor(job, tmp_path, console=True)
    second.until(TaskState.TASK_RUNNING)
    (second.sandbox / "end").touch()
    assert second.finish() == FINISHED
    assert second.output("p") == "one\ntwo\n3\n" == (tmp_path / "stdout").read_text()


def test_a_command_killed_from_outside_leaves_what_it_said(tmp_path: Path) -> None:
    say = "echo said; echo $$ > pid; exec sleep 1000"
    executor = Executor(assigned(task(process("p", say, logger=ROTATE, max_failures=2))), tmp_path)
    os.kill(int(executor.wait_for_file("pid")), signal.SIGKILL)
    wait_until(lambda: len(executor.runs("p")) == 2, "it runs again")
    assert executor.output("p", run=0) == "said\n"
    executor.kill()
    executor.finish()


class TestOfAnotherUser:
    @root_only
    def test_logs_that_roll_over_belong_to_the_user(self, open_path: Path) -> None:
        logger = {**ROTATE, "rotate": {"log_size": 1000, "backups": 2}}
        job = assigned(task(process("p", "seq 1000; id -u", logger=logger)), role="nobody")
        executor = Executor(job, open_path)
        assert executor.finish() == FINISHED
        owner = executor.sandbox.stat().st_uid
        files = list((executor.sandbox / ".logs/p/0").iterdir())
        assert sorted(path.name for path in files) == ["stderr", "stdout", "stdout.1"]
        assert {path.stat().st_uid for path in files} == {owner} != {0}

    @root_only
    def test_links_that_the_task_planted_lead_no_root_anywhere(self, open_path: Path) -> None:
        victim = open_path / "victim"
        victim.mkdir(mode=0o755)
        (victim / "stdout").write_text("precious")
        # The directory of the log becomes a link to one that only root may write to; then it rolls over.
        trap = "mv .logs/p/0 .logs/old; ln -s ../../../victim .logs/p/0"
        flood = "; for i in 1 2 3 4 5; do echo 0123456789; sleep 0.02; done"
        logger = {"destination": "both", "mode": "rotate", "rotate": {"log_size": 10, "backups": 1}}
        executor = Executor(assigned(task(process("p", trap + flood, logger=logger)), role="nobody"), open_path)
        assert executor.finish() == FINISHED
        assert logs(victim) == {"stdout": "precious"}

    @root_only
    def test_a_task_can_neither_signal_nor_look_into_the_coordinator_that_acts_as_its_user(
        self, open_path: Path
    ) -> None:
        attack = "kill -KILL $PPID && echo killed; ls /proc/$PPID/fd > /dev/null && echo seen; exit 0"
        executor = Executor(assigned(task(process("p", attack, logger=ROTATE)), role="nobody"), open_path)
        assert executor.finish() == FINISHED
        assert executor.output("p") == ""
        assert "Operation not permitted" in executor.output("p", stream="stderr")
        assert "Permission denied" in executor.output("p", stream="stderr")
