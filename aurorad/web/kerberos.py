"""Tickets of Kerberos, checked with the server's keytab (security sheet, section 6). Needs the package gssapi."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import trio

from aurorad.web.authentication import TooBusy, WrongCredentials

_log = logging.getLogger(__name__)

_KERBEROS, _SPNEGO = "1.2.840.113554.1.2.2", "1.3.6.1.5.5.2"
_NOBODY = "WELLKNOWN/ANONYMOUS"
"""Whom a ticket names that anybody may get, in a realm that gives such (RFC 8062)."""
_CHECKS_AT_ONCE = 4
_MOST_WAITING = 50


def user_name(principal: str, ours: str) -> str:
    """That of a principal of our realm without the realm, of others that ours trusts with it.

    The original leaves out every realm, so that somebody else's ``admin@ELSEWHERE`` is its admin. Raises
    `WrongCredentials` for nobody.
    """
    name, _, realm = principal.rpartition("@")
    if name == _NOBODY:
        raise WrongCredentials
    return name if realm == ours else principal


class NoKerberos(Exception):
    """Tickets cannot be checked here: the text says why."""


class Acceptor:
    """Says whose tickets are."""

    def __init__(self, keytab: Path, principal: str, *, debug: bool = False) -> None:
        """Reads the keytab. Raises `NoKerberos`. With `debug` it is logged why tickets are refused."""
        try:
            import gssapi  # not above: only who asks for Kerberos needs it
            from gssapi.raw.misc import GSSError
        except ImportError as error:
            raise NoKerberos(f"KERBEROS5_AUTHN needs the Python package gssapi: {error}") from None
        if not os.access(keytab, os.R_OK):
            raise NoKerberos(f"-kerberos_server_keytab={keytab} cannot be read")
        try:
            self._credentials = gssapi.Credentials(
                name=gssapi.Name(principal, gssapi.NameType.kerberos_principal),
                usage="accept",
                mechs=[gssapi.OID.from_int_seq(oid) for oid in (_KERBEROS, _SPNEGO)],
                store={"keytab": f"FILE:{keytab}"},
            )
            self._realm = str(self._credentials.name).rpartition("@")[2]
        except GSSError as error:
            raise NoKerberos(
                f"-kerberos_server_principal={principal} with -kerberos_server_keytab={keytab}: {error}"
            ) from None
        self._gssapi = gssapi
        self._refusals = GSSError
        self._debug = debug
        self._limiter = trio.CapacityLimiter(_CHECKS_AT_ONCE)

    async def user(self, ticket: bytes) -> str:
        """The name of the user whose ticket it is. Raises `WrongCredentials` and `TooBusy`."""
        if self._limiter.statistics().tasks_waiting >= _MOST_WAITING:
            raise TooBusy
        return user_name(await trio.to_thread.run_sync(self._principal, ticket, limiter=self._limiter), self._realm)

    def _principal(self, ticket: bytes) -> str:
        """It must be enough: no further steps, and no answer (security sheet, section 6)."""
        try:
            context = self._gssapi.SecurityContext(creds=self._credentials, usage="accept")
            context.step(ticket)
            if not context.complete:
                raise WrongCredentials
            return str(context.initiator_name)
        except self._refusals as error:
            if self._debug:
                _log.info("a ticket was refused: %s", error)
            raise WrongCredentials from None
