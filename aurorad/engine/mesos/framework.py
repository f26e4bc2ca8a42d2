"""Who we are to a master: the framework, and the credential it shows (scheduling sheet, section 11)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from aurorad.engine.mesos.messages import Capability, FrameworkInfo

PRINCIPAL = "aurora_authentication_principal"
SECRET = "aurora_authentication_secret"  # noqa: S105 - a key's name

_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_KEY = re.compile(r"((?:\\.|[^\\=:\s])*)\s*[=:]?\s*(.*)", re.DOTALL)


class BadCredential(Exception):
    """The file of the credential cannot be used; the text names it and what was expected, and has nothing of it."""


class Credential(msgspec.Struct, frozen=True):
    principal: str
    secret: str

    def __repr__(self) -> str:
        return f"Credential({self.principal!r}, ***)"

    def header(self) -> str:
        """What HTTP's ``Authorization`` says of it."""
        return "Basic " + base64.b64encode(f"{self.principal}:{self.secret}".encode()).decode()


def read_credential(path: Path) -> Credential:
    """What is in the file of ``-framework_authentication_file``, Java properties. Raises `BadCredential`."""
    try:
        properties = dict(_properties(path.read_text("latin-1")))
    except OSError as error:
        raise BadCredential(f"-framework_authentication_file={path}: {error.strerror}") from None
    missing = [key for key in (PRINCIPAL, SECRET) if not properties.get(key)]
    if missing:
        raise BadCredential(f"-framework_authentication_file={path}: {' and '.join(missing)} expected in it")
    if ":" in properties[PRINCIPAL]:  # HTTP could not tell where it ends
        raise BadCredential(f"-framework_authentication_file={path}: a principal without a colon was expected in it")
    return Credential(properties[PRINCIPAL], properties[SECRET])


def _properties(text: str) -> Iterator[tuple[str, str]]:
    """Of a file as java.util.Properties reads it: escapes, lines that go on, and three ways to end a key."""
    lines = iter(re.split(r"\r\n|\r|\n", text))
    for line in lines:
        line = line.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while len(line) - len(line.rstrip("\\")) & 1:
            line = line[:-1] + next(lines, "").lstrip(" \t\f")
        found = _KEY.fullmatch(line)
        assert found is not None
        yield _unescaped(found[1]), _unescaped(found[2])


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else _PLAIN.get(found[2], found[2]), text)


def framework_info(
    *,
    name: str,
    user: str,
    failover_timeout_s: float,
    role: str | None,
    principal: str | None,
    hostname: str,
    webui_url: str,
    revocable: bool,
    gpus: bool,
    partition_aware: bool,
) -> FrameworkInfo:
    """The framework, without the id that it has or gets. Its tasks always outlive an agent's restart (checkpoint)."""
    wanted = {"REVOCABLE_RESOURCES": revocable, "GPU_RESOURCES": gpus, "PARTITION_AWARE": partition_aware}
    return FrameworkInfo(
        user=user,
        name=name,
        failover_timeout=failover_timeout_s,
        checkpoint=True,
        role=role,
        hostname=hostname,
        principal=principal,
        webui_url=webui_url,
        capabilities=tuple(Capability(type_) for type_, is_wanted in wanted.items() if is_wanted),
    )
