"""A realm of Kerberos on this machine, with Debian's key distribution centre."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

REALM = "TEST.REALM"
SERVICE = f"HTTP/localhost@{REALM}"

_TOOLS = "/usr/sbin:/usr/bin:/sbin:/bin"


class Realm:
    """A running realm; `environment` is what programs need to be in it."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.keytab = folder / "http.keytab"
        self.environment: Mapping[str, str] = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5RCACHENAME": f"file2:{folder / 'replays'}",
        }
        (folder / "krb5.conf").write_text(f"""
[libdefaults]
  default_realm = {REALM}
  dns_canonicalize_hostname = false
  dns_lookup_kdc = false
  rdns = false
[realms]
  {REALM} = {{
    kdc = 127.0.0.1:{port}
  }}
[domain_realm]
  localhost = {REALM}
""")
        (folder / "kdc.conf").write_text(f"""
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {REALM} = {{
    database_name = {folder / "principals"}
    key_stash_file = {folder / "stash"}
  }}
[logging]
  kdc = FILE:{folder / "kdc.log"}
""")

    def ticket(self, user: str) -> dict[str, str]:
        """The environment of a program whose user has logged in."""
        cache = self._folder / f"{user.replace('/', '-')}.cache"
        environment = {**self.environment, "KRB5CCNAME": f"FILE:{cache}"}
        self.run("kinit", "-k", "-t", str(self._folder / "users.keytab"), user, **environment)
        return environment

    def add(self, *users: str) -> None:
        self._admin(f"addprinc -randkey {SERVICE}")
        self._admin(f"ktadd -k {self.keytab} {SERVICE}")
        for user in users:
            self._admin(f"addprinc -randkey {user}")
            self._admin(f"ktadd -k {self._folder / 'users.keytab'} {user}")

    def run(self, *command: str, **environment: str) -> None:
        subprocess.run(
            command,
            env={**os.environ, "PATH": _TOOLS, **self.environment, **environment},
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )

    def _admin(self, query: str) -> None:
        self.run("kadmin.local", "-r", REALM, "-q", query)


@contextmanager
def realm(*users: str) -> Iterator[Realm]:
    """A realm with these users, and the scheduler's service."""
    assert shutil.which("krb5kdc", path=_TOOLS), (
        "krb5-kdc is missing: apt-get install krb5-kdc krb5-admin-server krb5-user"
    )
    with tempfile.TemporaryDirectory(prefix="realm-") as name, socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        sock.close()
        it = Realm(Path(name), port)
        it.run("kdb5_util", "create", "-s", "-W", "-r", REALM, "-P", "master")
        it.add(*users)
        with subprocess.Popen(
            ["krb5kdc", "-n", "-r", REALM],
            env={**os.environ, "PATH": _TOOLS, **it.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as kdc:
            try:
                _wait_for(port)
                yield it
            finally:
                kdc.terminate()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "the key distribution centre does not answer"
            time.sleep(0.02)
        else:
            return
