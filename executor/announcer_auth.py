"""The file that says who announcers are to ZooKeeper, and who may do what with their nodes (executor sheet, 12.3)."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import msgspec

_PERMISSIONS = ("read", "write", "create", "delete", "admin")  # in the order of ZooKeeper's bits, from 1 on


class BadAuthFile(ValueError):
    """The text says what is wrong, and never holds a credential."""


class Credential(msgspec.Struct, frozen=True):
    """Who to be."""

    scheme: str
    credential: str

    def __repr__(self) -> str:
        return f"Credential(scheme={self.scheme!r})"


class Access(msgspec.Struct, frozen=True):
    """What ZooKeeper lets an identity do with a node; `permissions` are its bits."""

    scheme: str
    identity: str
    permissions: int


class ZooKeeperAuth(msgspec.Struct, frozen=True):
    """Without any `acl` everybody may do everything with the nodes."""

    credentials: tuple[Credential, ...] = ()
    acl: tuple[Access, ...] = ()


class _Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scheme: str
    credential: str


class _Permissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    read: bool = False
    write: bool = False
    create: bool = False
    delete: bool = False
    admin: bool = False


class _Acl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scheme: str
    credential: str
    permissions: _Permissions


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    auth: tuple[_Auth, ...] = ()
    acl: tuple[_Acl, ...] = ()


def read_auth_file(path: Path) -> ZooKeeperAuth:
    """Raises `BadAuthFile`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadAuthFile(f"Failed to open config file {error}") from None
    return parse_auth(content)


def parse_auth(content: bytes) -> ZooKeeperAuth:
    """Raises `BadAuthFile`."""
    try:
        file = msgspec.json.decode(content, type=_File)
    except msgspec.ValidationError as error:
        raise BadAuthFile(f"ZK authentication config is invalid {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAuthFile(f"Problem parsing ZK authentication config {_without_content(error)}") from None
    if any(auth.scheme == "sasl" for auth in file.auth):
        raise BadAuthFile("ZK authentication config is invalid: auth by the scheme sasl is not supported")
    return ZooKeeperAuth(
        tuple(Credential(auth.scheme, auth.credential) for auth in file.auth),
        tuple(Access(acl.scheme, _identity(acl), _bits(acl.permissions)) for acl in file.acl),
    )


def _without_content(error: Exception) -> str:
    return "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)


def _identity(acl: _Acl) -> str:
    """How ZooKeeper knows somebody: by the hash of name and password, if the scheme is digest."""
    if acl.scheme != "digest":
        return acl.credential
    user, colon, password = acl.credential.partition(":")
    if not (user and colon and password):
        raise BadAuthFile("Digest credential should be of the form <user>:<password>")
    digest = hashlib.sha1(acl.credential.encode(), usedforsecurity=False).digest()  # ZooKeeper's choice
    return f"{user}:{base64.b64encode(digest).decode()}"


def _bits(permissions: _Permissions) -> int:
    return sum(1 << bit for bit, name in enumerate(_PERMISSIONS) if getattr(permissions, name))
