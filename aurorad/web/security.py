"""The gate that the flags ask for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import trio

from aurorad.flags import Flags
from aurorad.vars import Vars
from aurorad.web.access import Gate
from aurorad.web.authentication import Authentication, Basic, Mechanism, Negotiate
from aurorad.web.kerberos import Acceptor
from aurorad.web.tls import Tls, TlsFiles
from aurorad.web.users import Users, UsersFile

_log = logging.getLogger(__name__)


class Security:
    """Who may do what, and whether connections are encrypted. `run` follows the files that say so."""

    def __init__(self, flags: Flags, stats: Vars) -> None:
        """Raises `BadUsers`, `NoKerberos` and `BadCertificate`."""
        only_hashed = flags.shiro_credentials_matcher == "HASHED"
        path = flags.users_file
        self._file = UsersFile(path, only_hashed=only_hashed) if path is not None else None
        self.tls = _tls(flags)
        for secret in (flags.http_tls_key, flags.kerberos_server_keytab):
            if secret is not None and _is_open(secret):
                _log.warning(
                    "%s can be read by every user of this machine, who then can pass for us: chmod o-r", secret
                )
        self.gate = Gate(
            _authentication(flags, self._users, stats) if flags.secured else None,
            anonymous_reads=flags.http_anonymous_reads,
            run_as=flags.shiro_after_auth_filter == "RUN_AS",
        )

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for follower in (self._file, self.tls):
                if follower is not None:
                    nursery.start_soon(follower.run)

    async def read_again(self) -> None:
        """Now, whether they seem to have changed or not. What cannot be used is told, and the one before stays."""
        for follower in (self._file, self.tls):
            if follower is not None:
                await follower.read_again()

    def _users(self) -> Users:
        return self._file.users if self._file is not None else _NOBODY


_NOBODY = Users({}, {})


def _authentication(flags: Flags, users: Callable[[], Users], stats: Vars) -> Authentication:
    mechanisms: dict[str, Mechanism] = {}
    keytab, principal = flags.kerberos_server_keytab, flags.kerberos_server_principal
    if "NEGOTIATE" in flags.http_authentication_mechanism and keytab is not None and principal is not None:
        mechanisms["negotiate"] = Negotiate(Acceptor(keytab, principal, debug=flags.kerberos_debug).user)
    if "BASIC" in flags.http_authentication_mechanism:
        mechanisms["basic"] = Basic(users)
    return Authentication(mechanisms, users, stats)


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & 0o004)
    except OSError:  # whoever needs the file says so
        return False


def _tls(flags: Flags) -> Tls | None:
    key, certificate = flags.http_tls_key, flags.http_tls_certificate
    if key is None or certificate is None:
        return None
    return Tls(TlsFiles(key, certificate, flags.http_tls_client_ca))


def warnings(flags: Flags, *, loopback: bool, root: bool) -> list[str]:
    """What the operator must know who runs a daemon with these flags, that listens on loopback only or not."""
    told = []
    whoever = "every user of this machine" if loopback else "whoever reaches its port"
    if not flags.secured and "scheduler" in flags.role and flags.engine == "local" and (root or not loopback):
        what = "run tasks as any user, root too" if root else "run tasks as the user whom it runs as"
        told.append(f"nobody is asked who they are: {whoever} may {what} (-http_authentication_mechanism changes that)")
    if not flags.secured and not loopback and flags.engine != "local":
        told.append("nobody is asked who they are: whoever reaches its port may do everything")
    if "BASIC" in flags.http_authentication_mechanism and flags.http_tls_key is None and not loopback:
        told.append("passwords come here as plain text: -http_tls_key and -http_tls_certificate change that")
    return told
