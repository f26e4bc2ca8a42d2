"""Whose works a bundle holds, and under which licences."""

from __future__ import annotations

import re
import sysconfig
from importlib import metadata
from pathlib import Path

from description import REPOSITORY

_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: aurorad
Comment: The bundle holds CPython, libraries for it, and libraries of the Debian system that it was built on (OpenSSL,
 SQLite, zlib, bzip2, xz, libffi, expat, readline, ncurses, libtirpc, MIT Kerberos as far as they are in _internal).
 licences.gz beside this file has what the makers of CPython and of its libraries say.

Files: *
Copyright: Copyright 2026 the authors of aurorad
License: Apache-2.0
 On Debian systems the full text is in /usr/share/common-licenses/Apache-2.0.
"""


def copyright_file() -> str:
    """In Debian's machine-readable format."""
    return _COPYRIGHT


def licences() -> str:
    """The texts: of CPython, and of the libraries that are locked, whether this package needs each or not."""
    python = Path(sysconfig.get_path("stdlib"), "LICENSE.txt")
    parts = [("CPython", python.read_text())] if python.exists() else []
    locked = re.findall(r"^([\w.-]+)==", (REPOSITORY / "requirements.lock").read_text(), re.MULTILINE)
    for name in sorted({*locked, "gssapi"}):
        parts += _of(name)
    return "\n".join(f"{name}\n{'=' * len(name)}\n\n{text.strip()}\n" for name, text in parts)


def _of(name: str) -> list[tuple[str, str]]:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:  # kerberos is optional
        return []
    files = distribution.files or []
    texts = [
        Path(str(file.locate())) for file in files if re.search(r"(?i)/(licen[cs]e|copying|notice)[^/]*$", str(file))
    ]
    title = f"{name} {distribution.version}: {distribution.metadata.json.get('license_expression', 'as follows')}"
    return [(title, "\n\n".join(text.read_text(errors="replace") for text in sorted(texts) if text.is_file()))]
