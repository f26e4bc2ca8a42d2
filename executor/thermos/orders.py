"""What `thermos run` is told to do, made ready: task, place and user, checked before anything is started."""

from __future__ import annotations

import datetime
import errno
import os
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from frozendict import frozendict

from executor.checkpoint import CheckpointError, RunnerHeader, RunnerState, read_stream, replay
from executor.environment import UserError, user_named
from executor.instance import InvalidTask, check_task
from executor.paths import CHECKPOINTS, LOGS, TaskPaths
from executor.sandbox import SandboxError, User, create_sandbox, current_user
from executor.task import Task
from executor.templates import Bindings, JsonValue, UnboundError, fill
from executor.thermos.roots import DEFAULT_ROOT

DEFAULT_SANDBOXES = Path("/var/lib/thermos/sandbox")
SANDBOXES = "sandboxes"  # within another root than the default one


class Refused(Exception):
    """The task is not run; the text says why, and what to give."""


class Wish(NamedTuple):
    """What was asked for; None where nothing was said."""

    root: Path
    data: str
    unbound_ports: Collection[str]
    ports: Mapping[str, int]
    task_id: str | None = None
    user: str | None = None
    sandbox: Path | None = None
    chroot: bool = False


class Order(NamedTuple):
    """A task that can be run, or gone on with."""

    task: Task
    paths: TaskPaths
    header: RunnerHeader
    user: User
    chroot: bool

    @property
    def sandbox(self) -> Path:
        return Path(self.header.sandbox or "/")


def order_of(wish: Wish, now: datetime.datetime) -> Order:
    """Changes nothing on disk; `now` is the local time. Raises `Refused`.

    A task that is there already goes on where it was, with the user and the ports that it has.
    """
    paths = _paths(wish, now)
    recorded = _recorded(paths)
    ports = {**(recorded.ports if recorded is not None else {}), **wish.ports}
    if missing := sorted(set(wish.unbound_ports) - set(ports)):
        given = " ".join(f"-P {name}:NUMBER" for name in missing)
        raise Refused(f"ERROR!  Unbound ports: {' '.join(missing)} (give them: {given})")
    if wish.chroot and os.geteuid() != 0:
        raise Refused("Must be root to run processes in a sandbox of their own! (that is what --enable_chroot wants)")
    user = _user(wish.user or (recorded.user if recorded is not None else None))
    task = _task(wish.data, Bindings(paths.task_id, 0, socket.gethostname(), user.name, ports))
    sandbox = _sandbox(wish, paths, recorded)
    header = RunnerHeader(
        task_id=paths.task_id,
        launch_time_ms=int(now.timestamp() * 1000),
        sandbox=str(sandbox),
        hostname=socket.gethostname(),
        user=user.name,
        ports=frozendict(ports),
        log_dir=str(sandbox / LOGS),
        uid=user.uid,
    )
    if recorded is not None:
        _compare(recorded, header)
    return Order(task, paths, recorded or header, user, wish.chroot)


def synthesized_id(name: str, now: datetime.datetime) -> str:
    """For a task without one."""
    return f"{name}-{now:%Y%m%d-%H%M%S.%f}"


def _paths(wish: Wish, now: datetime.datetime) -> TaskPaths:
    name = msgspec.json.decode(wish.data, type=Task).name
    try:
        return TaskPaths(wish.root, wish.task_id or synthesized_id(name, now))
    except ValueError as error:
        raise Refused(str(error)) from None


def _recorded(paths: TaskPaths) -> RunnerHeader | None:
    """What a runner before us wrote."""
    try:
        state = replay(read_stream(paths.runner))
    except CheckpointError as error:
        raise Refused(f"Task {paths.task_id} is there already, and its checkpoints cannot be read: {error}") from None
    except OSError as error:
        raise Refused(_closed(paths.root, error)) from None
    _refuse_ended(paths, state)
    return state.header


def _refuse_ended(paths: TaskPaths, state: RunnerState) -> None:
    if state.state is not None and state.state.terminal:
        raise Refused(f"Task {paths.task_id} is over, {state.state.name}: give another --task_id, or none")


def _user(name: str | None) -> User:
    try:
        return user_named(name or current_user().name)
    except UserError as error:
        raise Refused(f"Cannot run as {name}: {error}") from None


def _task(data: str, bindings: Bindings) -> Task:
    tree: JsonValue = msgspec.json.decode(data)
    try:
        return check_task(msgspec.convert(fill(tree, bindings), Task, strict=False))
    except msgspec.ValidationError as error:
        raise Refused(f"Failed to fully evaluate task: {error}") from None
    except (UnboundError, InvalidTask) as error:
        raise Refused(str(error)) from None


def _sandbox(wish: Wish, paths: TaskPaths, recorded: RunnerHeader | None) -> Path:
    if wish.sandbox is not None:
        return Path(os.path.expanduser(wish.sandbox)).absolute()
    if recorded is not None and recorded.sandbox is not None:
        return Path(recorded.sandbox)
    return (DEFAULT_SANDBOXES if wish.root == DEFAULT_ROOT else wish.root / SANDBOXES) / paths.task_id


def _compare(recorded: RunnerHeader, now: RunnerHeader) -> None:
    for what in ("sandbox", "user", "ports"):
        was, wanted = getattr(recorded, what), getattr(now, what)
        if was != wanted:
            raise Refused(
                f"Attempting to rebind task with different parameters! {now.task_id} has {what} {was}, not {wanted}"
            )


def make_room(order: Order) -> None:
    """The folders that the task needs. Raises `Refused`."""
    paths = order.paths
    try:
        for folder in (paths.active.parent, paths.finished.parent, paths.root / CHECKPOINTS):
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    except OSError as error:
        raise Refused(_closed(paths.root, error)) from None
    try:
        if not order.sandbox.is_dir():
            create_sandbox(order.sandbox, order.user)
        elif order.user.drop and (owner := order.sandbox.stat().st_uid) != order.user.uid:
            raise Refused(f"The sandbox {order.sandbox} belongs to user {owner}, not to {order.user.name}")
    except (SandboxError, OSError) as error:
        raise Refused(f"{error} (give a folder of your own: --sandbox FOLDER)") from None


def _closed(root: Path, error: OSError) -> str:
    hint = "(give a folder of your own: thermos --root FOLDER run ...)"
    return f"Cannot keep checkpoints in {root}: {error.strerror} {hint}"
