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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import msgspec

from aurorad import procfs
from aurorad.cgroups import TaskGroup
from executor.checkpoint import ProcessState, ProcessStatus, RunnerCkpt, StreamWriter
from executor.environment import Place
from executor.logger import LoggerSettings
from executor.output import Output, Tee, open_output, pass_on
from executor.paths import PROFILE
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

_ALL_SIGNALS = signal.valid_signals()
_NAME = b"thermos-coord"  # a coordinator, as ps shows it


class Launch(msgspec.Struct, frozen=True):
    """All that a run needs. `logs` is the run's own directory for `stdout` and `stderr`, seen from the sandbox."""

    process: str
    cmdline: str
    place: Place
    environment: Mapping[str, str]
    logs: Path
    logger: LoggerSettings
    group: TaskGroup | None = None


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


def fork_coordinator(launch: Launch, stream: StreamWriter, seq: int) -> Coordinator:
    """A coordinator that waits for `release`; `seq` is the number of its FORKED record, which the caller writes before.

    The caller owns its descriptors. Raises `OSError`; then nothing was started.
    """

    def start(go: int, records: int) -> int:
        pid = fork()
        if pid == 0:
            be_coordinator(launch, stream, seq, go, records)
        return pid

    return connected(start)


def connected(start: Callable[[int, int], int], pid_of: Callable[[int], int] | None = None) -> Coordinator:
    """The coordinator that `start` makes, with the ends of the pipes `go` and `records` that are for it; its pid.

    Raises as `start` does, and `OSError`.
    """
    go_read, go_write = os.pipe()
    record_read, record_write = os.pipe()
    os.set_blocking(record_read, False)
    try:
        try:
            pid = start(go_read, record_write)
        finally:  # not in the coordinator, which never gets here
            os.close(go_read)
            os.close(record_write)
        if pid_of is not None:
            pid = pid_of(record_read)
        pidfd = os.pidfd_open(pid)
    except BaseException:
        os.close(go_write)
        os.close(record_read)
        raise
    return Coordinator(pid, pidfd, record_read, go_write)


def be_coordinator(launch: Launch, stream: StreamWriter, seq: int, go: int, records: int) -> NoReturn:
    """In a process that was forked for it; once it may `go`."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        close_all_but({0, 1, 2, go, records, stream.fd})
        if os.read(go, 1):
            os.close(go)
            os.setsid()
            with contextlib.suppress(OSError):  # not writable for whoever changed user without a new program
                procfs.show_as(_NAME)
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

    output = _settle_in(launch)
    pid = os.fork()
    if pid == 0:
        _become_command(launch, output)
    try:
        say(ProcessStatus(seq + 1, launch.process, ProcessState.RUNNING, start_time=time.time(), pid=pid))
    except OSError:
        os.kill(pid, signal.SIGKILL)  # a command that nobody has on record must not run
        raise
    tees: tuple[Tee, ...] = ()
    if not isinstance(output, OSError):
        output.close_ends()
        tees = output.tees
    return_code = os.waitstatus_to_exitcode(_wait(pid, tees))
    if left := [tee for tee in tees if not tee.over]:
        _leave_behind(left, stream.fd, records)
    say(
        ProcessStatus(
            seq + 2, launch.process, _state_after(return_code), stop_time=time.time(), return_code=return_code
        )
    )


def _settle_in(launch: Launch) -> Output | OSError:
    """Goes where the command shall run and opens its output, as the user: the way there may be closed to them, but what
    lies inside must not lead root astray. An error is for the command to tell."""
    try:
        if launch.place.directory is not None:
            enter_directory(launch.place.directory)
        act_as(launch.place.user)
        return open_output(launch.logger, launch.logs)
    except OSError as error:
        return error


def _wait(pid: int, tees: Sequence[Tee]) -> int:
    """Until the command has ended and all that it wrote was passed on; its status.

    Others may still hold its pipes: children, who are killed at the end of the run, or daemons that escaped. It does
    not wait for them.
    """
    if tees:
        ended = os.pidfd_open(pid)
        pass_on(tees, until=ended)
        os.close(ended)
    status = os.waitpid(pid, 0)[1]
    for tee in tees:
        tee.drain()
    return status


def _leave_behind(tees: Sequence[Tee], *ours: int) -> None:
    """A process of its own, no child of ours and in no session of ours, that passes on the rest.

    It ends when nobody can write to the pipes any more, and not before: whoever writes then would be killed for it.
    """
    pid = os.fork()
    if pid == 0:
        try:
            for fd in ours:
                os.close(fd)
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # those that it serves may have last words
            if os.fork() == 0:
                pass_on(tees)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _state_after(return_code: int) -> ProcessState:
    if return_code == 0:
        return ProcessState.SUCCESS
    return ProcessState.FAILED if return_code > 0 else ProcessState.KILLED


def _become_command(launch: Launch, output: Output | OSError) -> NoReturn:
    try:
        if isinstance(output, OSError):
            raise output
        default_signals()
        for number, fd in enumerate((os.open(os.devnull, os.O_RDONLY), *output.ends)):
            os.dup2(fd, number)  # all others close themselves
        argv, environment = _enter_image(launch) if launch.place.image is not None else _enter_place(launch)
        os.execve(argv[0], argv, environment)  # noqa: S606
    except BaseException as error:
        os.write(2, f"Failed to launch process {launch.process}: {error}\n".encode())
    finally:
        os._exit(127)


def _enter_place(launch: Launch) -> tuple[tuple[str, ...], dict[str, str]]:
    """Become the user, in the directory that we are in; the command and its environment."""
    _act_as_ourselves(launch)
    if launch.place.chroot:
        os.chroot(".")
    become_user(launch.place.user)
    environment = dict(launch.environment)
    if os.path.exists(launch.place.profile):  # asked as the user, who must not learn of others' files
        environment["BASH_ENV"] = str(launch.place.profile)
    return ("/bin/bash", "-c", launch.cmdline), environment


def _enter_image(launch: Launch) -> tuple[tuple[str, ...], dict[str, str]]:
    """Become ourselves again: whoever starts the command in the image needs root's rights, and gives them up."""
    place = launch.place
    assert place.image is not None
    environment = dict(launch.environment)
    if os.path.exists(PROFILE):  # here, in the sandbox, which the image has elsewhere
        environment["BASH_ENV"] = str(place.profile)
    _act_as_ourselves(launch)
    return place.image.command(launch.cmdline, place.user.name), environment


def _act_as_ourselves(launch: Launch) -> None:
    """With our rights back, into the task's control group, which the user may not enter."""
    act_as_ourselves(launch.place.user)
    if launch.group is not None:
        launch.group.enter()


def fork() -> int:
    """As `os.fork`, from within an event loop: no signal of the child can reach the loop of the parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)
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


def act_as(user: User) -> None:
    """From now on files are opened with the user's rights; signals and open files are still handled with ours.

    Processes of the user can neither signal nor trace us: only the effective ids are theirs.
    """
    if user.drop:
        os.setgroups(user.groups)
        os.setegid(user.gid)
        os.seteuid(user.uid)


def act_as_ourselves(user: User) -> None:
    """Ends `act_as`, but for the groups."""
    if user.drop:
        os.seteuid(os.getuid())
        os.setegid(os.getgid())


def enter_directory(directory: Path) -> None:
    """As `os.chdir`, but not through a link at its end."""
    os.fchdir(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW))


def close_all_but(keep: set[int]) -> None:
    for fd in {int(name) for name in os.listdir("/proc/self/fd")} - keep:
        try:
            os.close(fd)
        except OSError:
            continue  # the one that listed them
