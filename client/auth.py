"""How a scheduler is told who calls: `auth_mechanism` in clusters.json (client-internals sheet, section 6)."""

from __future__ import annotations

import base64
import netrc
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from client.clusters import Cluster
from client.errors import AuthenticationError

_UNAUTHENTICATED, _BASIC, _KERBEROS = "UNAUTHENTICATED", "BASIC", "KERBEROS"
_CREDENTIALS_FILE = "credentials_file"
_SPNEGO = "1.3.6.1.5.5.2"

_NETRC_HELP = "~/.netrc may hold a password: machine HOST login NAME password PASSWORD"
_BASIC_HELP = "The scheduler does not know this name and password, or does not let them do this."
_KERBEROS_HELP = 'Communication with Aurora scheduler is kerberized. Did you forget to run "kinit"?'


class Mechanism(NamedTuple):
    """`auth` adds credentials to requests; None leaves them to ``~/.netrc``. `failed` is what to tell of a refusal."""

    auth: AuthBase | None
    failed: str


class Certificates(NamedTuple):
    """PEM files: our own certificate and its key, for schedulers that let nobody else in; who has signed theirs."""

    certificate: str | None = None
    key: str | None = None
    authority: str | None = None


NO_CERTIFICATES = Certificates()


def certificates(cluster: Cluster) -> Certificates:
    """Those that the cluster names. Raises `CommandError` for half of a pair, and for files that cannot be read."""
    certificate, key, authority = (_file(cluster, f"tls_{name}") for name in ("certificate", "key", "ca"))
    if (certificate is None) is not (key is None):
        raise cluster.lacks("tls_certificate and tls_key were expected together")
    return Certificates(certificate, key, authority)


def mechanism(cluster: Cluster, custom: Mapping[str, Mechanism]) -> Mechanism:
    """What the cluster asks for; `custom` are those that this build of the client brings along.

    An unknown one means none.
    """
    name = cluster.text("auth_mechanism") or _UNAUTHENTICATED
    if name in custom:
        return custom[name]
    if name == _BASIC:
        return Mechanism(Basic(_credentials_file(cluster)), _BASIC_HELP)
    if name == _KERBEROS:
        return Mechanism(Kerberos(), _KERBEROS_HELP)
    return custom.get(_UNAUTHENTICATED, Mechanism(None, _NETRC_HELP))


class _PerHost(AuthBase):
    """Credentials that belong to a host, also if it is one that we were sent to by another."""

    def _header(self, host: str) -> str:
        """What the host is told. Raises `AuthenticationError`."""
        raise NotImplementedError

    def _answer_challenge(self, response: requests.Response, **how: Any) -> requests.Response:
        """The answer to the same request with credentials, if it was refused for having none; `how` it was sent."""
        if response.status_code != requests.codes.unauthorized or "Authorization" in response.request.headers:
            return response
        _ = response.content  # or else the connection could not be used again
        response.close()
        again = response.request.copy()
        again.headers["Authorization"] = self._header(_host(again))
        answer: requests.Response = response.connection.send(again, **how)
        answer.history.append(response)
        answer.request = again
        return answer


class Basic(_PerHost):
    """A name and a password for each host, from a file like ``~/.netrc`` that nobody else can read."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header(_host(request))
        request.hooks["response"].append(self._answer_challenge)
        return request

    def _header(self, host: str) -> str:
        try:
            mode = stat.S_IMODE(self._file.stat().st_mode)
            if mode & 0o077:
                raise AuthenticationError(
                    f"{self._file} can be opened by others (mode {mode:o}): chmod 600 {self._file}"
                )
            entry = netrc.netrc(str(self._file)).authenticators(host)
        except netrc.NetrcParseError as error:  # its own text may hold a password
            raise AuthenticationError(
                f"{self._file}, line {error.lineno}: machine HOST login NAME password PASSWORD was expected"
            ) from None
        except OSError as error:
            raise AuthenticationError(f"{self._file} cannot be read: {error.strerror}") from None
        if entry is None:
            raise AuthenticationError(f"{self._file} has no entry for this scheduler: machine {host} was expected")
        name, _, password = entry
        return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode("ascii")


class Kerberos(_PerHost):
    """A ticket of the user's, shown to hosts that ask for it; needs the package gssapi."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.hooks["response"].append(self._show_ticket)
        return request

    def _show_ticket(self, response: requests.Response, **how: Any) -> requests.Response:
        challenges = response.headers.get("WWW-Authenticate", "").lower().replace(",", " ").split()
        return self._answer_challenge(response, **how) if "negotiate" in challenges else response

    def _header(self, host: str) -> str:
        try:
            import gssapi  # not above: only who has tickets needs it
            from gssapi.raw.misc import GSSError
        except ImportError as error:
            raise AuthenticationError(f"auth_mechanism KERBEROS needs the Python package gssapi: {error}") from None
        try:
            service = gssapi.Name(f"HTTP@{host}", gssapi.NameType.hostbased_service)
            spnego = gssapi.OID.from_int_seq(_SPNEGO)
            token = gssapi.SecurityContext(name=service, usage="initiate", mech=spnego).step()
        except GSSError as error:
            raise AuthenticationError(f"{error}. {_KERBEROS_HELP}") from None
        return "Negotiate " + base64.b64encode(token or b"").decode("ascii")


def _host(request: requests.PreparedRequest) -> str:
    return urlsplit(request.url or "").hostname or ""


def _file(cluster: Cluster, key: str) -> str | None:
    given = cluster.text(key)
    if given is None:
        return None
    path = Path(given).expanduser()
    if not os.access(path, os.R_OK):
        raise cluster.lacks(f"{key}: {path} cannot be read")
    return str(path)


def _credentials_file(cluster: Cluster) -> Path:
    given = cluster.text(_CREDENTIALS_FILE) or os.environ.get("NETRC") or "~/.netrc"
    return Path(given).expanduser()
