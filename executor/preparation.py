"""From an assigned task to one that can run: sandbox, configuration, runner (executor sheet, sections 4 and 6)."""

from __future__ import annotations

import dataclasses
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
from frozendict import frozendict

from aurorad.api.tasks import AssignedTask
from aurorad.cgroups import Hierarchy, Limits, TaskGroup, find_group
from aurorad.engine.base import TaskState
from executor import images
from executor.checkers import Outcome
from executor.checkpoint import CheckpointError, RunnerHeader, StreamHeld
from executor.child import ChildFailed, in_child
from executor.flags import ExecutorFlags
from executor.forker import Forker
from executor.images import BadContainerizer, Image
from executor.instance import InvalidTask, parse_instance
from executor.ledger import TaskDiffers
from executor.logger import LoggerSettings
from executor.paths import CHECKPOINTS, LOGS, RunDirectory, TaskPaths
from executor.resources import EXECUTOR_RAM
from executor.runner import Runner
from executor.sandbox import (
    SandboxError,
    UnknownUser,
    User,
    create_sandbox,
    current_user,
    link_into_container,
    user_for,
)
from executor.task import Resources, TaskInstance
from executor.templates import Bindings

SANDBOX_LIMIT_S = 600.0
START_LIMIT_S = 120.0
HELD_LIMIT_S = 60.0  # for whoever else has the task in hand: a fork in the making, `thermos kill`, another executor
_HELD_POLL_S = 0.02

_log = logging.getLogger(__name__)


class Unfit(Exception):
    """The task cannot be started. Its `outcome` is None where the checkpoints know better what became of it."""

    def __init__(self, outcome: Outcome | None) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclasses.dataclass(frozen=True)
class Fit:
    """A task whose runner is in control of it, and only needs to run."""

    instance: TaskInstance
    bindings: Bindings
    user: User
    image: Image | None
    runner: Runner


async def prepare(
    assigned: AssignedTask,
    directory: RunDirectory,
    flags: ExecutorFlags,
    *,
    resumed: bool,
    now_ms: Callable[[], int],
    path: str | None,
    forker: Forker | None,
    hierarchy: Callable[[], Hierarchy | None],
) -> Fit:
    """Everything before the first process. Raises `Unfit`; cancelled, it leaves nothing running.

    `resumed` if an executor before us got further than this. `path` is the PATH of the task's processes. `hierarchy`
    gives what control groups may be made in.
    """
    user = await _make_sandbox(assigned, directory, flags, resumed=resumed)
    hostname = assigned.slave_host or socket.gethostname()
    instance, bindings = _read_task(assigned, Bindings(assigned.task_id, assigned.instance_id, hostname, user.name))
    header = RunnerHeader(
        task_id=assigned.task_id,
        launch_time_ms=now_ms(),
        sandbox=str(directory.sandbox),
        hostname=hostname,
        user=user.name,
        ports=frozendict(bindings.ports),
        log_dir=str(directory.sandbox / LOGS),
        uid=user.uid,
    )
    paths = TaskPaths(directory.path / CHECKPOINTS, assigned.task_id)
    with _starting():
        with trio.fail_after(START_LIMIT_S):
            image = await _open_image(directory, flags) if _volumes_of_image(assigned) is not None else None
        group = _group(hierarchy(), paths, instance.task.resources, resumed=resumed)
        runner = Runner(
            instance.task,
            paths,
            header,
            user,
            now_ms=now_ms,
            log=_log,
            path=path,
            logger=_logger(flags),
            preserve_env=flags.preserve_env,
            image=image,
            group=group,
            forker=forker,
        )
        await _take_control(runner)
    return Fit(instance, bindings, user, image, runner)


def _group(
    hierarchy: Hierarchy | None, paths: TaskPaths, resources: Resources | None, *, resumed: bool
) -> TaskGroup | None:
    """Where the task's processes shall be kept, or are kept already."""
    limits = None if resources is None else Limits(resources.cpu, resources.ram and resources.ram + EXECUTOR_RAM)
    group = None
    if hierarchy is not None:
        hierarchy.enable_limits()
        group = hierarchy.group(paths.task_id, paths.root, limits)
    if resumed and (group is None or not group.exists):
        return find_group(paths.task_id, paths.root) or group
    return group


async def _make_sandbox(
    assigned: AssignedTask, directory: RunDirectory, flags: ExecutorFlags, *, resumed: bool
) -> User:
    try:
        with trio.fail_after(SANDBOX_LIMIT_S):
            return await _sandbox_of_its_kind(assigned, directory, flags)
    except UnknownUser as error:
        if resumed:
            raise _failed("Task started with unknown user.") from None
        raise _failed(f"Failed to initialize sandbox: {error}") from None
    except SandboxError as error:
        raise _failed(f"Failed to initialize sandbox: {error}") from None
    except trio.TooSlowError:
        raise _failed("Timed out waiting for sandbox to initialize!") from None
    except Exception as error:
        _log.exception("The sandbox cannot be made.")
        raise _failed(f"Unknown exception initializing sandbox: {error}") from None


async def _sandbox_of_its_kind(assigned: AssignedTask, directory: RunDirectory, flags: ExecutorFlags) -> User:
    if assigned.task.container.docker is not None:
        link_into_container(directory)
        user = current_user()  # the container's
    else:
        user = user_for(assigned.task.job.role, flags, _log)
    volumes = _volumes_of_image(assigned)
    if volumes is None:
        create_sandbox(directory.sandbox, user)
        return user
    root = images.image_root(directory.path)
    create_sandbox(directory.sandbox, user)
    images.enter_mount_namespace()
    mount_point, create_user = flags.sandbox_mount_point, not flags.no_create_user

    def furnish() -> str:
        images.furnish(root, directory.sandbox, mount_point, volumes, user, create_user=create_user)
        return ""

    try:
        await in_child(furnish)
    except ChildFailed as error:
        raise SandboxError(str(error)) if error.kind == SandboxError.__name__ else error from None
    return user


def _volumes_of_image(assigned: AssignedTask) -> list[str] | None:
    """Where a task with an image has its volumes; None for one without an image."""
    mesos = assigned.task.container.mesos
    if mesos is None or mesos.image is None:
        return None
    return [volume.container_path or "" for volume in mesos.volumes]


async def _open_image(directory: RunDirectory, flags: ExecutorFlags) -> Image:
    path = flags.mesos_containerizer_path
    images.check_containerizer(path)
    launch_info = await in_child(lambda: "yes" if images.knows_launch_info(path) else "")
    return Image(images.image_root(directory.path), flags.sandbox_mount_point, path, bool(launch_info))


def _logger(flags: ExecutorFlags) -> LoggerSettings:
    return LoggerSettings.of_flags(
        flags.runner_logger_destination,
        flags.runner_logger_mode,
        flags.runner_rotate_log_size_mb,
        flags.runner_rotate_log_backups,
    )


def _read_task(assigned: AssignedTask, bindings: Bindings) -> tuple[TaskInstance, Bindings]:
    config = assigned.task.executor_config
    data = config.data or "" if config is not None else ""
    try:
        return parse_instance(data, bindings, assigned.assigned_ports)
    except InvalidTask as error:
        raise _failed(f"Could not deserialize Thermos task from AssignedTask: {error}") from None


async def _take_control(runner: Runner) -> None:
    """Once nobody else has the task in hand."""
    since_s, told = trio.current_time(), False
    while True:
        try:
            runner.take_control()
        except StreamHeld as error:
            if trio.current_time() - since_s > HELD_LIMIT_S:
                raise
            if not told:
                _log.warning("%s. Waiting for it.", error)
                told = True
            await trio.sleep(_HELD_POLL_S)
        else:
            return


@contextmanager
def _starting() -> Iterator[None]:
    """What goes wrong with a runner, in the words of status updates."""
    try:
        yield
    except BadContainerizer as error:
        raise _failed(str(error)) from None
    except trio.TooSlowError:
        raise Unfit(Outcome(TaskState.TASK_LOST, "Timed out waiting for task to start!")) from None
    except TaskDiffers as error:
        _log.error("%s", error)
        raise _failed("Thermos received an invalid task.") from None
    except CheckpointError as error:
        _log.error("%s", error)
        raise Unfit(None) from None
    except OSError as error:
        raise _failed(f"Failed to load task: {error}") from None
    except Exception as error:
        _log.exception("The runner cannot be started.")
        raise _failed(f"Unknown exception starting runner: {error}") from None


def _failed(message: str) -> Unfit:
    return Unfit(Outcome(TaskState.TASK_FAILED, message))
