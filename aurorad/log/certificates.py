"""Who is a member of a log by its certificate, where there are any."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple, TypeAlias

Contexts: TypeAlias = tuple[ssl.SSLContext | None, ssl.SSLContext | None]
"""For those that dial this member, and for dialling others."""

NO_TLS: Contexts = (None, None)


class Certificates(NamedTuple):
    """PEM files. Whoever has a certificate of this authority is a member: it should sign for nobody else."""

    key: Path
    certificate: Path
    authority: Path

    def contexts(self) -> Contexts:
        """Raises `OSError`; `ssl.SSLError` is one."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False  # addresses come and go: the authority says who is a member
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.authority)
        return server, client
