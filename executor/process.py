"""Starting one process: the runner forks a coordinator, which forks the command and writes down what becomes of it.

The coordinator outlives the runner; what it learns it appends to its own stream (thermos-runner sheet, sections 4
and 8). In a forked child nothing but system calls and the stream's writer run, and it ends by `os._exit`: the event
loop that it was forked from goes on in the parent only.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, NoReturn

import msgspec

from executor.checkpoint import ProcessState, ProcessStatus, RunnerCkpt, StreamWriter
from executor.images import Image
from executor.sandbox import User

_HANDLED = (  # what a program with an event loop may have a handler for
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
    signal.SIGINT,
)

_NAME = b"thermos-coord"  # a coordinator, as ps shows it

Destination = Literal["file", "console", "none"]


class Launch(msgspec.Struct, frozen=True):
    """All that a run needs. `logs` is the run's own directory for `stdout` and `stderr`, seen from the sandbox.

    With an `image` the command runs in it; everything else is as on the host.
    """

    process: str
    cmdline: str
    sandbox: Path
    environment: Mapping[str, str]
    user: User
    logs: Path
    destination: Destination = "file"
    image: Image | None = None


class Coordinator(NamedTuple):
    """A forked coordinator. It writes a byte to `pipe` after each record, and the pipe ends when it does."""

    pid: int
    pidfd: int
    pipe: int
    go: int

    def release(self) -> None:
        """Its FORKED record is written: it may start the command."""
        with contextlib.suppress(BrokenPipeError):  # it was killed already; its pipe says so
            os.write(self.go, b"g")
        os.close(self.go)

    def abandon(self) -> None:
        """It ends without having started the command."""
        for fd in (self.go, self.pipe, self.pidfd):
            os.close(fd)


def environment_for(home: Path, user: User, profile: Path | None, path: str | None) -> dict[str, str]:
    """Exactly what a command finds around it; the profile, which the shell sources, is None until there is one."""
    environment = {
        "HOME": str(home),
        "LOGNAME": user.name,
        "USER": user.name,
        "PATH": path or os.defpath,
    }
    if profile is not None:
        environment["BASH_ENV"] = str(profile)
    return environment


def fork_coordinator(launch: Launch, stream: StreamWriter, seq: int) -> Coordinator:
    """A coordinator that waits for `release`; `seq` is the number of its FORKED record, which the caller writes before.

    The caller owns its descriptors. Raises `OSError`; then nothing was started.
    """
    go_read, go_write = os.pipe()
    record_read, record_write = os.pipe()
    os.set_blocking(record_read, False)
    try:
        pid = fork()
        if pid == 0:
            _in_coordinator(launch, stream, seq, go_read, record_write)
        pidfd = os.pidfd_open(pid)
    except OSError:
        os.close(go_write)
        os.close(record_read)
        raise
    finally:  # not in the coordinator, which never gets here
        os.close(go_read)
        os.close(record_write)
    return Coordinator(pid, pidfd, record_read, go_write)


def _in_coordinator(launch: Launch, stream: StreamWriter, seq: int, go: int, records: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        close_all_but({0, 1, 2, go, records, stream.fd})
        if os.read(go, 1):
            os.close(go)
            os.setsid()
            with contextlib.suppress(OSError):  # not writable for whoever changed user without a new program
                Path("/proc/self/comm").write_bytes(_NAME)
            _coordinate(launch, stream, seq, records)
            code = 0
    except BaseException as error:
        os.write(2, f"Coordinator of process {launch.process}: {error!r}\n".encode())
    finally:
        os._exit(code)


def _coordinate(launch: Launch, stream: StreamWriter, seq: int, records: int) -> None:
    def say(status: ProcessStatus) -> None:
        stream.append(RunnerCkpt(process_status=status))
        with contextlib.suppress(BrokenPipeError):  # the runner is gone; the next one reads the stream
            os.write(records, b"r")

    pid = os.fork()
    if pid == 0:
        _become_command(launch)
    try:
        say(ProcessStatus(seq + 1, launch.process, ProcessState.RUNNING, start_time=time.time(), pid=pid))
    except OSError:
        os.kill(pid, signal.SIGKILL)  # a command that nobody has on record must not run
        raise
    return_code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    say(
        ProcessStatus(
            seq + 2, launch.process, _state_after(return_code), stop_time=time.time(), return_code=return_code
        )
    )


def _state_after(return_code: int) -> ProcessState:
    if return_code == 0:
        return ProcessState.SUCCESS
    return ProcessState.FAILED if return_code > 0 else ProcessState.KILLED


def _become_command(launch: Launch) -> NoReturn:
    try:
        default_signals()
        # The way to the sandbox may be closed to the user; what lies inside it must not lead root astray.
        enter_directory(launch.sandbox)
        if launch.image is None:
            become_user(launch.user)
            _redirect(launch)
            argv: tuple[str, ...] = ("/bin/bash", "-c", launch.cmdline)
        else:  # its starter needs root's rights, and gives them up
            with for_a_while(launch.user):
                _redirect(launch)
            argv = launch.image.command(launch.cmdline, launch.user.name)
        close_all_but({0, 1, 2})
        os.execve(argv[0], argv, launch.environment)  # noqa: S606
    except BaseException as error:
        os.write(2, f"Failed to launch process {launch.process}: {error}\n".encode())
    finally:
        os._exit(127)


def _redirect(launch: Launch) -> None:
    streams = [os.open(os.devnull, os.O_RDWR)]
    if launch.destination == "file":
        os.makedirs(launch.logs, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        streams += [os.open(launch.logs / name, flags, 0o644) for name in ("stdout", "stderr")]
    elif launch.destination == "none":
        streams += [streams[0], streams[0]]
    for number, fd in enumerate(streams):
        os.dup2(fd, number)


def fork() -> int:
    """As `os.fork`, from within an event loop: no signal of the child can reach the loop of the parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            try:
                gc.disable()  # a collection would copy pages that are shared with the parent
                signal.set_wakeup_fd(-1)
                for number in _HANDLED:
                    signal.signal(number, signal.SIG_DFL)
            except BaseException:
                os._exit(1)
            before = set()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def default_signals() -> None:
    """Undoes what Python, or a coordinator, ignores; a command must not inherit it."""
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def become_user(user: User) -> None:
    """Gives up root's rights for good, if there are any to give up."""
    if user.drop:
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)


@contextlib.contextmanager
def for_a_while(user: User) -> Iterator[None]:
    """Files are opened with the user's rights, if we have root's to give up."""
    if not user.drop:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    os.setgroups(user.groups)
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def enter_directory(directory: Path) -> None:
    """As `os.chdir`, but not through a link at its end."""
    os.fchdir(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))


def close_all_but(keep: set[int]) -> None:
    for fd in {int(name) for name in os.listdir("/proc/self/fd")} - keep:
        try:
            os.close(fd)
        except OSError:
            continue  # the one that listed them
