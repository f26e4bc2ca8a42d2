"""Machines that are network namespaces, on a bridge, and ways to cut them off from each other.

What is lost is lost without a word, as behind a cable that was pulled: nobody is told that a connection has ended. Each
namespace lives as long as a process that holds it, which ends with the tests, however they end. For root alone.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NOBODY = "02:00:00:00:00:99"  # a hardware address that no machine here has


class Machine:
    """`enter` is what a command is to begin with to run there; it becomes the command (the process id is its own)."""

    def __init__(self, bridge: str, net: str, number: int) -> None:
        self.address = f"{net}.{number}"
        self._cable = f"{bridge}n{number}"
        hold = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", "echo; exec sleep infinity"]
        self._holder = subprocess.Popen(hold, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        self._holder.stdout.readline()  # the namespace is there
        pid = str(self._holder.pid)
        self.enter = ("nsenter", "--target", pid, "--net", "--")
        with suppress(subprocess.CalledProcessError):  # left by tests that were killed
            ip("link", "delete", self._cable)
        ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", pid)
        ip("link", "set", self._cable, "master", bridge, "up")
        self._ip("link", "set", "lo", "up")
        self._ip("address", "add", f"{self.address}/24", "dev", "eth0")
        self._ip("link", "set", "eth0", "up")

    def unplug(self) -> None:
        ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        ip("link", "set", self._cable, "up")

    def lose_what_goes_to(self, other: Machine) -> None:
        """One way only: what the other sends still arrives here."""
        self._ip("neighbour", "replace", other.address, "lladdr", _NOBODY, "dev", "eth0", "nud", "permanent")

    def reach(self, other: Machine) -> None:
        with suppress(subprocess.CalledProcessError):  # it did
            self._ip("neighbour", "delete", other.address, "dev", "eth0")

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()
        with suppress(subprocess.CalledProcessError):  # gone with the namespace
            ip("link", "delete", self._cable)

    def _ip(self, *arguments: str) -> None:
        _run(*self.enter, "ip", *arguments)


class Network:
    """`address` is where the tests themselves are."""

    def __init__(self) -> None:
        for number in itertools.count(1):
            self._bridge = f"aur{number}"
            if number > 250:
                raise AssertionError("250 networks of tests are there already; `ip link` shows them: aur<number>")
            with suppress(subprocess.CalledProcessError):  # somebody else's
                _remove_if_left(self._bridge)
                ip("link", "add", self._bridge, "type", "bridge")
                break
        ip("link", "set", self._bridge, "alias", f"{os.getpid()} {_beginning_of(os.getpid())}")
        self._net = f"10.213.{number}"
        self.address = f"{self._net}.1"
        ip("address", "add", f"{self.address}/24", "dev", self._bridge)
        ip("link", "set", self._bridge, "up")
        self._machines: list[Machine] = []

    def machine(self) -> Machine:
        machine = Machine(self._bridge, self._net, 11 + len(self._machines))
        self._machines.append(machine)
        return machine

    def heal(self) -> None:
        for machine in self._machines:
            machine.plug()
            for other in self._machines:
                machine.reach(other)

    def close(self) -> None:
        for machine in self._machines:
            machine.close()
        ip("link", "delete", self._bridge)


def cut(these: Iterator[Machine] | list[Machine], those: Iterator[Machine] | list[Machine]) -> None:
    """Nothing passes between them, either way."""
    for one, other in itertools.product(list(these), list(those)):
        one.lose_what_goes_to(other)
        other.lose_what_goes_to(one)


@contextmanager
def network() -> Iterator[Network]:
    made = Network()
    try:
        yield made
    finally:
        made.close()


def why_not() -> str | None:
    """Why there can be no such networks here, if so."""
    if os.geteuid() != 0:
        return "network namespaces are for root"
    try:
        _run("unshare", "--net", "ip", "link", "add", "aur0", "type", "bridge")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespaces here: {getattr(error, 'stderr', error)}"
    return None


def ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _remove_if_left(bridge: str) -> None:
    """If the process that made it is gone."""
    with suppress(OSError):
        pid, _, beginning = Path(f"/sys/class/net/{bridge}/ifalias").read_text().strip().partition(" ")
        if pid and _beginning_of(int(pid)) != beginning:
            ip("link", "delete", bridge)


def _beginning_of(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
