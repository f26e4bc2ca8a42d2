"""TLS on the HTTP ports: which key and certificate, and which clients may connect at all."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path
from typing import NamedTuple

import trio

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 10.0


class BadCertificate(Exception):
    """The files cannot be used: the text says which, and why."""


class TlsFiles(NamedTuple):
    """PEM files. With `client_ca`, only clients that have a certificate of these authorities may connect."""

    key: Path
    certificate: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Raises `BadCertificate`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        for path in self._paths():
            if not os.access(path, os.R_OK):
                raise BadCertificate(f"{path} cannot be read")
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:
            raise BadCertificate(
                f"-http_tls_key={self.key} and -http_tls_certificate={self.certificate}: {error}"
            ) from None
        if self.client_ca is not None:
            try:
                context.load_verify_locations(self.client_ca)
            except OSError as error:
                raise BadCertificate(f"-http_tls_client_ca={self.client_ca}: {error}") from None
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def look(self) -> tuple[object, ...]:
        """Something else when any of the files has changed."""
        return tuple(_version(path) for path in self._paths())

    def _paths(self) -> list[Path]:
        return [self.key, self.certificate, *([self.client_ca] if self.client_ca is not None else [])]


class Tls:
    """What new connections use. `run` takes up a certificate that was renewed."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises `BadCertificate`."""
        self._files = files
        self._seen = files.look()
        self.context = files.context()

    async def run(self) -> None:
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            if self._files.look() != self._seen:
                await self.read_again()

    async def read_again(self) -> None:
        self._seen = self._files.look()
        try:
            self.context = await trio.to_thread.run_sync(self._files.context)
            _log.info("new connections use the certificate that is in %s now", self._files.certificate)
        except BadCertificate as error:  # perhaps it is half of a renewal: the other file will come
            _log.error("new connections use the certificate from before: %s", error)


def _version(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _no_password() -> str:
    raise ValueError("a key without a password was expected")
