"""Starting one process (thermos-runner sheet, sections 4 and 8)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest

from executor.checkpoint import CheckpointError, ProcessState, ProcessStatus, StreamWriter, read_stream
from executor.environment import Place, user_named
from executor.flags import ExecutorFlags
from executor.logger import DEFAULT_LOGGER, Destination, LoggerSettings
from executor.process import Launch, fork_coordinator
from executor.sandbox import current_user
from tests.executor.harness import Executor, assigned, process, root_only, task


def launch(place: Place, cmdline: str, logger: LoggerSettings = DEFAULT_LOGGER) -> Launch:
    variables = place.variables(os.defpath, {})
    return Launch("p", cmdline, place, variables, Path(".logs/p/0"), logger)


def run(launch: Launch, directory: Path) -> list[ProcessStatus]:
    """What the coordinator put on record."""
    stream = StreamWriter(directory / "coordinator.p")
    coordinator = fork_coordinator(launch, stream, 1)
    stream.close()
    coordinator.release()
    assert os.waitpid(coordinator.pid, 0)[1] == 0
    os.close(coordinator.pidfd)
    os.close(coordinator.pipe)
    return [record.process_status for record in read_stream(stream.path) if record.process_status is not None]


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    (tmp_path / "sandbox").mkdir()
    return tmp_path / "sandbox"


def logged(sandbox: Path, stream: str = "stdout") -> list[str]:
    return (sandbox / ".logs/p/0" / stream).read_text().splitlines()


@pytest.mark.parametrize(
    ("cmdline", "state", "code"),
    [
        ("true", ProcessState.SUCCESS, 0),
        ("exit 3", ProcessState.FAILED, 3),
        ("kill -9 $$", ProcessState.KILLED, -9),
        ("kill -TERM $$", ProcessState.KILLED, -15),
        ("bash -c 'kill -9 $$'; exit $?", ProcessState.FAILED, 137),
    ],
)
@pytest.mark.parametrize("destination", ["file", "both"])
def test_a_coordinator_puts_start_and_end_on_record(
    sandbox: Path, cmdline: str, state: ProcessState, code: int, destination: Destination
) -> None:
    logger = LoggerSettings(destination, "standard")
    running, ended = run(launch(Place.of(current_user(), sandbox), cmdline, logger), sandbox.parent)
    assert (running.seq, running.state) == (2, ProcessState.RUNNING)
    assert msgspec.structs.replace(running, start_time=None, pid=None) == ProcessStatus(2, "p", ProcessState.RUNNING)
    assert ended == ProcessStatus(3, "p", state, stop_time=ended.stop_time, return_code=code)
    assert ended.stop_time is not None
    assert running.start_time is not None
    assert running.start_time < ended.stop_time


def test_a_coordinator_that_is_not_released_starts_nothing(sandbox: Path) -> None:
    stream = StreamWriter(sandbox.parent / "coordinator.p")
    coordinator = fork_coordinator(launch(Place.of(current_user(), sandbox), "touch ran"), stream, 1)
    coordinator.abandon()
    os.waitpid(coordinator.pid, 0)
    stream.close()
    assert read_stream(stream.path) == []
    assert not (sandbox / "ran").exists()


def test_a_coordinator_holds_its_stream_until_it_ends(sandbox: Path) -> None:
    stream = StreamWriter(sandbox.parent / "coordinator.p")
    coordinator = fork_coordinator(launch(Place.of(current_user(), sandbox), "true"), stream, 1)
    stream.close()
    with pytest.raises(CheckpointError, match="another process holds it"):
        StreamWriter(stream.path)
    coordinator.release()
    os.waitpid(coordinator.pid, 0)
    StreamWriter(stream.path).close()
    os.close(coordinator.pidfd)
    os.close(coordinator.pipe)


class TestSurroundings:
    def test_a_command_finds_exactly_its_environment_its_sandbox_and_three_open_files(self, sandbox: Path) -> None:
        cmdline = "tr '\\0' '\\n' < /proc/$$/environ; pwd; readlink /proc/$$/fd/*; umask"
        run(launch(Place.of(current_user(), sandbox), cmdline), sandbox.parent)
        *variables, cwd, stdin, stdout, stderr, umask = logged(sandbox)
        me = current_user().name
        assert sorted(variables) == [f"HOME={sandbox}", f"LOGNAME={me}", f"PATH={os.defpath}", f"USER={me}"]
        assert (cwd, stdin) == (str(sandbox), "/dev/null")
        assert (stdout, stderr) == (f"{sandbox}/.logs/p/0/stdout", f"{sandbox}/.logs/p/0/stderr")
        before = os.umask(0)
        os.umask(before)
        assert int(umask, 8) == before

    def test_its_arguments_are_bash_minus_c_and_the_command(self, sandbox: Path) -> None:
        run(launch(Place.of(current_user(), sandbox), "tr '\\0' '\\n' < /proc/$$/cmdline; :"), sandbox.parent)
        assert logged(sandbox) == ["/bin/bash", "-c", "tr '\\0' '\\n' < /proc/$$/cmdline; :"]

    def test_no_signal_is_ignored_or_blocked(self, sandbox: Path) -> None:
        run(launch(Place.of(current_user(), sandbox), "grep -E '^Sig(Blk|Ign)' /proc/self/status; :"), sandbox.parent)
        # `make` leaves one of the C library's own ignored, which nobody can change.
        ours = sum(1 << (number - 1) for number in signal.valid_signals())
        assert [int(line.split()[1], 16) & ours for line in logged(sandbox)] == [0, 0]

    def test_a_profile_is_named_and_sourced_if_it_is_there(self, sandbox: Path) -> None:
        (sandbox / ".thermos_profile").write_text("WORD=hello\n")
        run(launch(Place.of(current_user(), sandbox), "echo $WORD $BASH_ENV"), sandbox.parent)
        assert logged(sandbox) == [f"hello {sandbox}/.thermos_profile"]

    def test_without_a_sandbox_a_command_is_where_its_runner_is(
        self, sandbox: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(sandbox)
        (sandbox / ".thermos_profile").write_text("WORD=hello\n")
        run(launch(Place.of(current_user(), None), "pwd; echo $HOME $WORD"), sandbox.parent)
        home = Place.of(current_user(), None).home
        assert logged(sandbox) == [str(sandbox), f"{home} hello"]

    def test_where_there_is_no_sandbox_nothing_runs(self, sandbox: Path, capfd: pytest.CaptureFixture[str]) -> None:
        sandbox.rmdir()
        _, ended = run(launch(Place.of(current_user(), sandbox), "true"), sandbox.parent)
        assert (ended.state, ended.return_code) == (ProcessState.FAILED, 127)
        assert "Failed to launch process p: [Errno 2] No such file or directory" in capfd.readouterr().err

    @pytest.mark.parametrize("preserve_env", [False, True])
    def test_the_runners_environment_is_kept_only_if_that_is_wanted(
        self, tmp_path: Path, preserve_env: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORD", "hello")
        monkeypatch.setenv("HOME", "/elsewhere")
        job = assigned(task(process("p", "echo ${WORD:-nothing} $HOME")))
        executor = Executor(job, tmp_path, flags=ExecutorFlags(preserve_env=preserve_env))
        executor.finish()
        assert executor.output("p") == f"{'hello' if preserve_env else 'nothing'} {executor.sandbox}\n"


@root_only
class TestUsers:
    def test_root_gives_up_all_rights_for_good(self, open_path: Path) -> None:
        nobody = user_named("nobody")
        sandbox = open_path / "sandbox"
        sandbox.mkdir(mode=0o700)
        os.chown(sandbox, nobody.uid, nobody.gid)
        cmdline = "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm)' /proc/self/status"
        for logger in (DEFAULT_LOGGER, LoggerSettings("both")):
            run(launch(Place.of(nobody, sandbox), cmdline, logger), open_path)
            status = dict(line.split(":", 1) for line in logged(sandbox))
            assert status["Uid"].split() == [str(nobody.uid)] * 4
            assert status["Gid"].split() == [str(nobody.gid)] * 4
            assert {int(group) for group in status["Groups"].split()} == set(nobody.groups)
            assert [int(status[name], 16) for name in ("CapEff", "CapPrm")] == [0, 0]

    def test_whether_others_have_a_file_cannot_be_learnt_by_way_of_the_profile(self, open_path: Path) -> None:
        nobody = user_named("nobody")
        sandbox, secret = open_path / "sandbox", open_path / "secret"
        secret.mkdir(mode=0o700)
        (secret / "file").touch()
        sandbox.mkdir(mode=0o700)
        os.chown(sandbox, nobody.uid, nobody.gid)
        (sandbox / ".thermos_profile").symlink_to(secret / "file")
        run(launch(Place.of(nobody, sandbox), "echo ${BASH_ENV:-none}"), open_path)
        assert logged(sandbox) == ["none"]


@root_only
class TestChroot:
    @pytest.fixture
    def jail(self, open_path: Path) -> Path:
        """A sandbox with a shell in it."""
        nobody = user_named("nobody")
        sandbox = open_path / "sandbox"
        libraries = re.findall(r"(/\S+)", subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True).stdout)
        for file in ["/bin/bash", *libraries]:
            target = sandbox / file.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        os.chown(sandbox, nobody.uid, nobody.gid)
        sandbox.chmod(0o700)
        return sandbox

    @pytest.mark.parametrize("destination", ["file", "both"])
    def test_the_sandbox_is_all_that_a_command_sees(self, jail: Path, destination: Destination) -> None:
        (jail / ".thermos_profile").write_text("WORD=hello\n")
        place = Place.of(user_named("nobody"), jail, chroot=True)
        logger = LoggerSettings(destination, "standard")
        cmdline = "pwd; echo /*; echo $HOME $UID $WORD $BASH_ENV; echo oops >&2"
        *_, ended = run(launch(place, cmdline, logger), jail.parent)
        assert ended.state == ProcessState.SUCCESS
        home, uid = place.home, place.user.uid
        seen = " ".join(f"/{path.name}" for path in sorted(jail.iterdir()) if not path.name.startswith("."))
        assert logged(jail) == ["/", seen, f"{home} {uid} hello /.thermos_profile"]
        assert logged(jail, "stderr") == ["oops"]

    def test_without_a_shell_in_it_the_process_fails_and_says_why(self, jail: Path) -> None:
        (jail / "bin/bash").unlink()
        *_, ended = run(launch(Place.of(user_named("nobody"), jail, chroot=True), "true"), jail.parent)
        assert (ended.state, ended.return_code) == (ProcessState.FAILED, 127)
        assert "Failed to launch process p: [Errno 2] No such file" in logged(jail, "stderr")[0]
