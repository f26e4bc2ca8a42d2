"""Hashes of passwords that take next to nothing to check, for tests that are not about that."""

from __future__ import annotations

import base64
import hashlib

_SALT = bytes(18)


def light(password: str) -> str:
    digest = hashlib.scrypt(password.encode(), salt=_SALT, n=1 << 4, r=8, p=1, dklen=30)
    return f"$scrypt$4$8$1${base64.b64encode(_SALT).decode()}${base64.b64encode(digest).decode()}"
