"""Debian's ssh server, on a free port of this machine, with keys of its own; whoever runs the tests can log in."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.zookeeper import free_ports

_CONFIGURATION = """\
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


class Sshd(NamedTuple):
    port: int
    folder: Path

    @property
    def user(self) -> str:
        return getpass.getuser()

    @property
    def ssh_options(self) -> str:
        return f"-p {self.port} {self._common}"

    @property
    def scp_options(self) -> str:
        return f"-P {self.port} {self._common}"

    @property
    def _common(self) -> str:
        return (
            f"-F none -i {self.folder}/key -o BatchMode=yes -o IdentitiesOnly=yes -o LogLevel=ERROR "
            f"-o UserKnownHostsFile={self.folder}/known_hosts -o StrictHostKeyChecking=no"
        )


@contextmanager
def running(folder: Path, addresses: Sequence[str] = ("127.0.0.1",)) -> Iterator[Sshd]:
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    listening = "".join(f"ListenAddress {address}\n" for address in addresses)
    (folder / "config").write_text(listening + _CONFIGURATION.format(folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it locks itself in until somebody has logged in
    (port,) = free_ports(1)
    with (folder / "log").open("wb") as log:
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config"), "-p", str(port)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait_for(addresses[0], port, process)
        yield Sshd(port, folder)
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str, port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.02)
    raise AssertionError("sshd did not start")
