"""Cuts connections of this machine in the middle, as a router that forgets them does."""

from __future__ import annotations

import socket
import subprocess

import pytest


def cut(address: str) -> int:
    """All connections to ``host:port`` that there are now; how many there were. Both ends find them aborted."""
    host, _, port = address.rpartition(":")
    return len(_kill(host, port))


def needs_cutting() -> None:
    """Leaves the test out where the kernel cannot cut."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        with socket.create_connection((host, port)) as client:
            client.settimeout(1)
            _kill(host, str(port))
            try:
                client.recv(1)
            except ConnectionAbortedError:
                return
            except OSError:
                pass
    pytest.skip("connections cannot be cut here: `ss -K` needs root, and a kernel with INET_DIAG_DESTROY")


def _kill(host: str, port: str) -> list[str]:
    done = subprocess.run(
        ["ss", "-KHtn", "state", "connected", "dst", host, "dport", "=", f":{port}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it has a word about each that has gone meanwhile
        text=True,
        check=False,
    )
    return [line for line in done.stdout.splitlines() if "ESTAB" in line]
