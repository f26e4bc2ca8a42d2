"""Tasks within a file system of their own (executor sheet, section 6; thermos-runner sheet, section 8).

A Mesos agent unpacks an image into the run directory. We add what the task needs in it, its user, its sandbox, its
volumes, and start processes through Mesos' containerizer. The image's content belongs to strangers: nothing of it is
run as root, and no link in it leads out of it. Mounts are made in a mount namespace of ours, and so end with the last
process of the task, whatever happens.
"""

from __future__ import annotations

import ctypes
import dataclasses
import errno
import grp
import logging
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from executor.paths import TASK_FILE_SYSTEM
from executor.sandbox import SandboxError, User

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_SLAVE = 1 << 12, 1 << 14, 1 << 19
_MAX_LINKS = 40  # as the kernel
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname")

_log = logging.getLogger(__name__)


class BadContainerizer(Exception):
    """Images cannot be used: the text is a status update's message."""


@dataclasses.dataclass(frozen=True)
class Image:
    """An image at `root`, whose processes see their sandbox at `sandbox` and are started by `containerizer`.

    The older containerizers, which know no `launch_info`, take each setting as a flag.
    """

    root: Path
    sandbox: Path
    containerizer: Path
    launch_info: bool

    def command(self, cmdline: str, user: str) -> tuple[str, ...]:
        """What root executes for the shell's `cmdline` to run in the image, as `user`, in the sandbox."""
        shell = {"shell": False, "value": "/bin/bash", "arguments": ["/bin/bash", "-c", cmdline]}
        start, rootfs, directory = (str(self.containerizer), "launch"), str(self.root), str(self.sandbox)
        if self.launch_info:
            info = {"rootfs": rootfs, "user": user, "working_directory": directory, "command": shell}
            return (*start, "--unshare_namespace_mnt", f"--launch_info={_json(info)}")
        return (
            *start,
            f"--working_directory={directory}",
            f"--rootfs={rootfs}",
            f"--user={user}",
            f"--command={_json(shell)}",
        )


def _json(tree: object) -> str:
    return msgspec.json.encode(tree).decode()


def check_containerizer(path: Path) -> None:
    """Raises `BadContainerizer`."""
    refused = "Cannot launch task using a filesystem image: "
    if not path.is_file():
        raise BadContainerizer(f"{refused}mesos_containerizer_path  {path} does not exist.")
    if not os.access(path, os.X_OK):
        raise BadContainerizer(f"{refused}{path} is not marked as executable.")


def knows_launch_info(containerizer: Path) -> bool:
    """Asks it, which blocks. Raises `OSError`."""
    answer = subprocess.run(
        [containerizer, "launch"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return b"launch_info" in answer.stderr


def image_root(directory: Path) -> Path:
    """Where an agent has put the image of the run in this directory. Raises `SandboxError`."""
    root = directory / TASK_FILE_SYSTEM
    if not root.is_dir():
        raise SandboxError(f"no image at {root}: a Mesos agent puts it there, the local engine has no images")
    return root


def enter_mount_namespace() -> None:
    """From now on nobody else sees what this process mounts. Raises `SandboxError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    made = libc.unshare(_CLONE_NEWNS) == 0
    if not made or libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None) != 0:
        raise SandboxError(f"Failed to create the sandbox root: {os.strerror(ctypes.get_errno())}")


def furnish(
    root: Path, sandbox: Path, mount_point: Path, volumes: Sequence[str], user: User, *, create_user: bool
) -> None:
    """Makes the image fit for the task: its user, its sandbox at `mount_point`, volumes, what names hosts.

    Needs `enter_mount_namespace` before, and may block. Raises `SandboxError`.
    """
    if create_user:
        _add_user(root, user, mount_point)
    try:
        for volume in volumes:
            if volume != TASK_FILE_SYSTEM:
                _bind(sandbox.parent / volume, root, volume)
        _bind(sandbox, root, str(mount_point))
        for file in _NETWORK_FILES:
            _copy(Path(file), root)
    except OSError as error:
        raise SandboxError(f"Failed to create the sandbox root: {error}") from None


def resolve_within(root: Path, path: str) -> Path:
    """Where `path` is for a process whose root directory is `root`: links and ``..`` do not lead out of it.

    Parts that do not exist are taken as they are. Raises `OSError` for links that go in a circle.
    """
    place, todo, links = root, list(reversed(Path(path).parts)), 0
    while todo:
        part = todo.pop()
        if part.startswith("/"):
            place = root
        elif part == "..":
            place = place.parent if place != root else root
        elif (place / part).is_symlink():
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            todo.extend(reversed((place / part).readlink().parts))
        else:
            place /= part
    return place


def _add_user(root: Path, user: User, home: Path) -> None:
    """In the image's own files, by hand: tools that would do it load libraries of the image, as root."""
    try:
        group = grp.getgrgid(user.gid).gr_name
    except KeyError:
        group = str(user.gid)
    try:
        found = _entry(root, "/etc/group", group, user.gid, "")
    except OSError as error:
        raise SandboxError(f"Failed to create group in sandbox for task image: {error}") from None
    if found[:3:2] != [group, str(user.gid)]:
        text = ":".join(found)
        raise SandboxError(f"Group id result {text} from image does not match name {group} and id {user.gid}")
    try:
        found = _entry(root, "/etc/passwd", user.name, user.uid, f"{user.gid}::{home}:/bin/sh")
    except OSError as error:
        raise SandboxError(f"Failed to create user in sandbox for task image: {error}") from None
    if [found[0], *found[2:4]] != [user.name, str(user.uid), str(user.gid)]:
        text, expected = ":".join(found), f"uid={user.uid}({user.name}) gid={user.gid}({group})"
        raise SandboxError(f"User group result {text} from task image does not start with expected prefix {expected}")


def _entry(root: Path, file: str, name: str, number: int, rest: str) -> list[str]:
    """The entry that has this name, or else this number; it is made if there is none. Raises `OSError`."""
    place = resolve_within(root, file)
    lines = place.read_text(errors="surrogateescape").splitlines() if _is_regular(place) else []
    entries = [fields for line in lines if len(fields := line.split(":")) > 2]
    for index, value in ((0, name), (2, str(number))):
        for fields in entries:
            if fields[index] == value:
                return fields
    made = f"{name}:x:{number}:{rest}"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join([*lines, made, ""]), errors="surrogateescape")
    return made.split(":")


def _is_regular(place: Path) -> bool:
    """Raises `OSError` for what is there and is no file: reading it might do anything."""
    if place.exists() and not place.is_file():
        raise OSError(errno.EINVAL, "not a file", str(place))
    return place.exists()


def _bind(source: Path, root: Path, target: str) -> None:
    place = resolve_within(root, target)
    if source.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(os.fsencode(source), os.fsencode(place), None, ctypes.c_ulong(_MS_BIND | _MS_REC), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(source))


def _copy(file: Path, root: Path) -> None:
    if not file.exists():
        return
    place = resolve_within(root, str(file))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if _is_regular(place):
            place.unlink()
        place.write_bytes(file.read_bytes())
    except OSError as error:
        if error.errno != errno.EROFS:  # the image has its own, or none
            raise
        _log.warning("the image stays without this host's %s: %s", file, error)
