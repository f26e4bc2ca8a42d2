"""Certificates of servers for tests, made by the openssl command."""

from __future__ import annotations

import subprocess
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


def certificate(folder: Path, name: str = "server") -> tuple[Path, Path]:
    """The key, and a certificate of this machine that is its own authority."""
    key, made = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", _NAMES, "-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    return key, made
