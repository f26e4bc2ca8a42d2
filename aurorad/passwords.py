"""Passwords as a file may hold them: hashed with scrypt, so that who reads the file does not know them.

A hash is ``$scrypt$LOG2N$R$P$SALT$DIGEST``, the last two in base64. Checking one takes a good part of a second and
64 MB on purpose: let it be done away from the event loop, and a few at a time.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import hashlib
import hmac
import re
import secrets
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple, TextIO

_LOG2_N, _R, _P = 16, 8, 2
"""As OWASP recommends: 64 MB, some 0.3 s."""
_MOST_LOG2_N, _MOST_R, _MOST_P = 18, 16, 16
_SALT_BYTES = 16
_DIGEST_BYTES = 32
_HASH = re.compile(r"\$scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)", re.ASCII)
_LOOKS_HASHED = re.compile(r"\$[\w-]+\$.+", re.ASCII | re.DOTALL)

_USAGE = """\
usage: aurorad password hash

Asks for a password on the terminal, or reads one line of standard input, and prints what a file of users may hold in
its place: USER = HASH, ROLE. A password is never an argument: everybody on this machine could see it.
"""


class BadHash(ValueError):
    """A text that looks like a hash, but none that can be checked."""


class _Hash(NamedTuple):
    log2_n: int
    r: int
    p: int
    salt: bytes
    digest: bytes


def is_hashed(stored: str) -> bool:
    """Whether this stands for a password, instead of being one. Raises `BadHash` for hashes of other kinds."""
    if not _LOOKS_HASHED.fullmatch(stored):
        return False
    _read(stored)
    return True


def hashed(password: str, salt: bytes | None = None) -> str:
    """What a file may hold in place of the password."""
    given = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
    digest = _digest(password, _Hash(_LOG2_N, _R, _P, given, bytes(_DIGEST_BYTES)))
    return f"$scrypt${_LOG2_N}${_R}${_P}${_base64(given)}${_base64(digest)}"


def matches(stored: str, password: str) -> bool:
    """Whether `stored`, a password or a hash of one, stands for `password`; takes as long if it does not."""
    if is_hashed(stored):
        parts = _read(stored)
        return hmac.compare_digest(_digest(password, parts), parts.digest)
    return hmac.compare_digest(_bytes(stored), _bytes(password))


def _digest(password: str, how: _Hash) -> bytes:
    n = 1 << how.log2_n
    memory = 128 * how.r * (n + how.p + 2)
    return hashlib.scrypt(_bytes(password), salt=how.salt, n=n, r=how.r, p=how.p, maxmem=memory, dklen=len(how.digest))


def _read(stored: str) -> _Hash:
    found = _HASH.fullmatch(stored)
    if found is None:
        raise BadHash("a hash made by `aurorad password hash` was expected, or a password that does not begin like one")
    log2_n, r, p = (int(number) for number in found.groups()[:3])
    if not (0 < log2_n <= _MOST_LOG2_N and 0 < r <= _MOST_R and 0 < p <= _MOST_P):
        raise BadHash(f"a hash that takes less to check was expected: at most {_MOST_LOG2_N}, {_MOST_R} and {_MOST_P}")
    try:
        salt, digest = (base64.b64decode(text + "=" * (-len(text) % 4)) for text in found.groups()[3:])
    except binascii.Error:
        raise BadHash("salt and digest in base64 were expected") from None
    if len(digest) < _SALT_BYTES:
        raise BadHash("a longer digest was expected")
    return _Hash(log2_n, r, p, salt, digest)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii").rstrip("=")


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", errors="surrogatepass")


def main(arguments: Sequence[str], source: TextIO | None = None, ask: Callable[[str], str] = getpass.getpass) -> int:
    """`aurorad password`: its exit status. `source` is standard input, `ask` asks on the terminal."""
    source = source or sys.stdin
    if list(arguments) != ["hash"]:
        wants_help = bool({"-h", "-help", "--help"} & set(arguments))
        print(_USAGE, end="", file=sys.stdout if wants_help else sys.stderr)
        return 0 if wants_help else 1
    if source.isatty():
        password = ask("Password: ")
        if ask("Again: ") != password:
            print("aurorad: the two are not the same", file=sys.stderr)
            return 1
    else:
        password = source.readline().rstrip("\r\n")
    if not password:
        print("aurorad: a password was expected", file=sys.stderr)
        return 1
    print(hashed(password))
    return 0
