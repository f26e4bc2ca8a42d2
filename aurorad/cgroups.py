"""Control groups (cgroup v2): a task's processes stay in its group, whatever they do to hide.

    <base>/                            the part of the tree that was delegated to us
        aurora.<task id>.<digest>/     one task
            executor/                  its executor and coordinators, if the executor was started in here
            task/                      its processes, under its limits

The kernel wants processes in the leaves only, once limits are in use. So nothing is put into `base` or a task's own
group; and limits need a `base` without processes, or one that is the root of all (systemd: `DelegateSubgroup=`).
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aurorad import procfs

EXECUTOR, TASK = "executor", "task"
_PREFIX = "aurora."
_CONTROLLERS = ("cpu", "memory")
_PERIOD_US = 100_000  # Mesos' and the kernel's own: a task's CPU is dealt out ten times a second
_LEAST_QUOTA_US = 1000  # the kernel takes no less
_WEIGHT_PER_CPU = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")  # here, or each executor would compile it anew
_TASK_ID_CHARACTERS = 200  # what is left of the 255 of a file name is for prefix and digest
_MOUNTS, _OWN = Path("/proc/self/mountinfo"), Path("/proc/self/cgroup")
_SYSTEMD = Path("/run/systemd/system")  # as sd_booted(3)
_DELEGATED = ("trusted.delegate", "user.delegate")  # systemd marks what it delegated; see its "Control Group APIs"

_log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True):
    """What a task's processes may use together: cores, and bytes of memory; 0 means no limit."""

    cpu: float
    ram: int


class Hierarchy(msgspec.Struct, frozen=True):
    """A part of the tree in which we may make groups."""

    base: Path

    def enable_limits(self) -> None:
        """Let groups in here have limits, where the kernel can. Says in the log which not, and why."""
        _enable(self.base, loud=True)

    def group(self, task_id: str, root: Path, limits: Limits | None = None) -> TaskGroup:
        """The group of a task, whether it exists or not; `root` is the task's checkpoint root."""
        return TaskGroup(self.base / group_name(task_id, root), limits)

    def remove_empty(self) -> None:
        """Remove the groups of tasks that nobody is in: whoever should have done so did not live to do it."""
        for place in self.base.glob(f"{_PREFIX}*"):
            TaskGroup(place).remove()


class TaskGroup(msgspec.Struct, frozen=True):
    """The group of one task. Nothing is done before it is asked for; what fails raises `OSError`."""

    path: Path
    limits: Limits | None = None

    def make(self) -> None:
        """The group for the task's processes, with its limits. One that is there already stays, and gets the limits."""
        task = self.path / TASK
        task.mkdir(parents=True, exist_ok=True)
        if self.limits is not None:
            _enable(self.path, loud=False)
            _limit(self.path, task, self.limits)

    def enter(self, leaf: str = TASK) -> None:
        """Move this process into the group; what it forks from now on is born there."""
        procs = self.path / leaf / "cgroup.procs"
        for _ in range(2):  # an empty group may be removed at any time, see `remove_empty`
            if procs.exists():
                try:
                    _write(procs, "0")
                except FileNotFoundError:
                    continue
                return
            if leaf == TASK:
                self.make()
            else:
                procs.parent.mkdir(parents=True, exist_ok=True)
        _write(procs, "0")

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    @property
    def holds_executor(self) -> bool:
        """Whether the executor was started in here."""
        return (self.path / EXECUTOR).is_dir()

    def pids(self, leaf: str | None = TASK) -> list[int]:
        """Those in the leaf, and in groups that they made below it, zombies excluded; without a leaf, all."""
        return list(dict.fromkeys(pid for place in _below(self._place(leaf)) for pid in _pids(place)))

    def populated(self, leaf: str | None = TASK) -> bool:
        """Whether there is a process in the task's leaf; without a leaf, in any."""
        return _numbers(self._place(leaf) / "cgroup.events").get("populated", 0) != 0

    def kill(self, leaf: str | None = TASK) -> None:
        """SIGKILL to all in the leaf, in groups below it, and to what they are forking; without a leaf, in any."""
        place = self._place(leaf)
        if not place.is_dir():
            return
        try:
            _write(place / "cgroup.kill", "1")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):  # before Linux 5.14; a threaded group
                raise
            _kill_frozen(place)

    def oom_kills(self) -> int | None:
        """How many of the task's processes the kernel killed because they were at the limit of memory together.

        None if it holds them to none, since the controller is not enabled.
        """
        return _numbers(self.path / TASK / "memory.events").get("oom_kill")

    def remove(self) -> bool:
        """Remove the group if nobody is in it. Whether it is gone."""
        if self.populated(None):
            return False
        for place in reversed(list(_below(self.path))):
            try:
                place.rmdir()
            except FileNotFoundError:
                continue
            except OSError:  # somebody is in it
                return False
        return True

    def _place(self, leaf: str | None) -> Path:
        return self.path if leaf is None else self.path / leaf


def find_hierarchy(mounts: Path = _MOUNTS, own: Path = _OWN, systemd: Path = _SYSTEMD) -> Hierarchy | None:
    """What this process may make groups in; None if that is nothing, and the log says why.

    Where systemd runs, it is what systemd delegated: our own group, or the one above it. Elsewhere it is our own group
    if we may write to it.
    """
    place = _own_group(mounts, own)
    if place is None:
        _log.info("no control groups: there is no cgroup v2 here")
        return None
    if place.name == EXECUTOR and place.parent.name.startswith(_PREFIX):
        base: Path | None = place.parent.parent  # of the hierarchy that our launcher found
    elif systemd.is_dir():
        base = next((group for group in (place, place.parent) if _is_delegated(group)), None)
    else:
        base = place
    if base is None or not all(os.access(path, os.W_OK, effective_ids=True) for path in (base, base / "cgroup.procs")):
        _log.info("no control groups: %s is not delegated to us", place)
        return None
    return Hierarchy(base)


def find_group(task_id: str, root: Path, mounts: Path = _MOUNTS) -> TaskGroup | None:
    """The group that somebody else made for the task, wherever it is."""
    name = group_name(task_id, root)
    for mount, _ in _mounts(mounts):
        for place, groups, _ in os.walk(mount):
            if name in groups:
                return TaskGroup(Path(place, name))
    return None


def group_name(task_id: str, root: Path) -> str:
    """The digest tells tasks of the same id under different checkpoint roots apart."""
    whole = f"{os.path.realpath(root)}\0{task_id}".encode()
    digest = hashlib.blake2b(whole, digest_size=8).hexdigest()
    return f"{_PREFIX}{_UNSAFE.sub('_', task_id)[:_TASK_ID_CHARACTERS]}.{digest}"


def _own_group(mounts: Path, own: Path) -> Path | None:
    for line in own.read_text().splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            for mount, root in _mounts(mounts):
                if Path(path).is_relative_to(root):
                    return mount / Path(path).relative_to(root)
    return None


def _mounts(mounts: Path) -> Iterator[tuple[Path, Path]]:
    """Where cgroup v2 is mounted, and which part of its tree."""
    for line in mounts.read_text().splitlines():
        fields, _, source = line.partition(" - ")
        if source.startswith("cgroup2 "):
            root, mount = fields.split()[3:5]
            yield Path(mount), Path(root)


def _is_delegated(group: Path) -> bool:
    for name in _DELEGATED:
        try:
            if os.getxattr(group, name) == b"1":
                return True
        except OSError:  # not marked so, or not for us to see
            continue
    return False


def _enable(place: Path, *, loud: bool) -> None:
    """Give the groups in `place` the controllers that `place` itself has."""
    have = (place / "cgroup.controllers").read_text().split()
    enabled = (place / "cgroup.subtree_control").read_text().split()
    for name in _CONTROLLERS:
        if name in enabled:
            continue
        if name not in have:
            why = "the controller is not delegated to us"
        else:
            try:
                _write(place / "cgroup.subtree_control", f"+{name}")
                continue
            except OSError as error:
                why = "there are processes in it" if error.errno == errno.EBUSY else str(error.strerror)
        if loud:
            _log.info("tasks in %s have no limit of %s: %s", place, name, why)


def _limit(group: Path, task: Path, limits: Limits) -> None:
    """CPU within a period is the most there is, RAM is hard (service-features sheet, section 6)."""
    quota_us = max(_LEAST_QUOTA_US, round(limits.cpu * _PERIOD_US)) if limits.cpu else "max"
    weight = min(10_000, max(1, round(limits.cpu * _WEIGHT_PER_CPU)))
    for file, text in (
        (group / "cpu.weight", str(weight)),  # against other tasks
        (task / "cpu.max", f"{quota_us} {_PERIOD_US}"),
        (task / "memory.max", str(limits.ram or "max")),
        (task / "memory.swap.max", "0"),
        (task / "memory.oom.group", "1"),  # the task ends as a whole
    ):
        if file.exists():  # else its controller is not enabled
            _write(file, text)


def _kill_frozen(place: Path) -> None:
    """Before Linux 5.2 there is no freezing either; whoever calls does so until nobody is left."""
    freezer = place / "cgroup.freeze"
    if freezer.exists():
        _write(freezer, "1")
    try:
        for group in _below(place):
            for process in procfs.processes(_pids(group)).values():
                procfs.send(process, signal.SIGKILL)
    finally:
        if freezer.exists():
            _write(freezer, "0")


def _below(place: Path) -> Iterator[Path]:
    """A group and all groups in it, parents first."""
    return (Path(found) for found, _, _ in os.walk(place))


def _pids(group: Path) -> list[int]:
    try:
        return _listed(group / "cgroup.procs")
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:  # its user made it threaded
            return list(filter(None, map(procfs.process_of, _listed(group / "cgroup.threads"))))
        raise


def _listed(file: Path) -> list[int]:
    try:
        return [int(line) for line in file.read_text().split()]
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):  # removed meanwhile
            return []
        raise


def _numbers(file: Path) -> dict[str, int]:
    """A file of lines of a name and a number; empty if there is none."""
    try:
        text = file.read_text()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return {}
        raise
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def _write(file: Path, text: str) -> None:
    """All at once, and never making a file: in a control group none can be made."""
    handle = os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(handle, text.encode())
    finally:
        os.close(handle)
