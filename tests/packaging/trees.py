"""Whole file systems to install into: a fresh Debian, made once and laid under each test's own changes. Needs root."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.e2e.cluster import REPOSITORY, eventually

BASE = REPOSITORY / "build/trees/debian"
INSTALLED_TOO = ("systemd", "systemd-sysv", "dbus", "adduser", "procps", "python3-minimal")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
# What changes whenever any package is installed.
OF_DPKG = ("var/lib/dpkg", "var/log", "var/cache", "var/lib/systemd", "run", "tmp", "proc", "sys", "dev", "packages")


class Tree:
    """A file system; what runs in it sees `packages` as /packages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._init: psutil.Process | None = None

    def run(self, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A shell's output and errors together: in the booted system, or in the mere tree."""
        enter = ["chroot", str(self.root)]
        if self._init is not None:
            enter = ["nsenter", "--all", f"--target={self._init.pid}"]
        ended = subprocess.run(
            [*enter, "/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRONMENT,
            timeout=120,
            check=False,
        )
        assert not check or ended.returncode == 0, f"{command}: {ended.returncode}\n{ended.stdout}"
        return ended

    def said(self, command: str) -> str:
        return self.run(command).stdout.strip()

    def files(self) -> set[str]:
        """All paths, but those that dpkg needs for itself."""
        found = set()
        for folder, folders, files in os.walk(self.root):
            place = os.path.relpath(folder, self.root)
            folders[:] = [name for name in folders if os.path.normpath(f"{place}/{name}") not in OF_DPKG]
            found |= {os.path.normpath(f"{place}/{name}") for name in (*folders, *files)}
        return {path for path in found if "__pycache__" not in path}

    @contextmanager
    def booted(self) -> Iterator[None]:
        """With systemd as its first process, and a network of its own."""
        command = ["systemd-nspawn", "--boot", "--quiet", "--register=no", "--keep-unit", "--private-network"]
        with (self.root.parent / "console.log").open("w") as console:
            machine = subprocess.Popen(
                [*command, f"--directory={self.root}", "--machine=aurora-test", "--link-journal=no"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
            )
            try:
                self._init = eventually("systemd is there", lambda: _first_process(machine.pid), 30)
                eventually("it has started", lambda: self.run("systemctl is-system-running --wait", False).stdout, 60)
                yield
            finally:
                self._init = None
                machine.terminate()  # halts what is in there
                try:
                    machine.wait(30)
                except subprocess.TimeoutExpired:
                    machine.kill()
                    machine.wait()


def _first_process(nspawn: int) -> psutil.Process | None:
    children = psutil.Process(nspawn).children()
    return next((child for child in children if child.name() == "systemd"), None)


@contextmanager
def fresh_debian(folder: Path, packages: Path) -> Iterator[Tree]:
    """One whose changes are gone with the test."""
    make_base()
    root = folder / "root"
    for name in ("root", "upper", "work"):
        (folder / name).mkdir()
    options = f"lowerdir={BASE},upperdir={folder / 'upper'},workdir={folder / 'work'}"
    mounted: list[Path] = []
    try:
        _mount(mounted, root, "-t", "overlay", "-o", options, "overlay")
        (root / "packages").mkdir()
        _mount(mounted, root / "packages", "--bind", str(packages))
        yield Tree(root)
    finally:
        for place in reversed(mounted):
            subprocess.run(["umount", "--lazy", place], check=True)


def _mount(mounted: list[Path], place: Path, *arguments: str) -> None:
    subprocess.run(["mount", *arguments, place], check=True)
    mounted.append(place)


def make_base() -> None:
    """Nothing of it is kept outside of the repository's build folder."""
    BASE.parent.mkdir(parents=True, exist_ok=True)
    with (BASE.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests of several files are run at once
        if not BASE.exists():
            _make_base()


def _make_base() -> None:
    unfinished = BASE.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    chosen = ["--variant=minbase", f"--include={','.join(INSTALLED_TOO)}", "bookworm"]
    subprocess.run(["debootstrap", *chosen, unfinished], check=True, stdout=subprocess.DEVNULL)
    (unfinished / "etc/dpkg/dpkg.cfg.d/quick").write_text("force-unsafe-io\n")
    (unfinished / "etc/hosts").write_text("127.0.0.1 localhost\n")  # as every installed system has it
    unfinished.rename(BASE)
