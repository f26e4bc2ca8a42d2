"""Who may do what, and how they prove who they are (flags sheet, section 12; security sheet, section 1)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from aurorad.flag_parsing import declare
from aurorad.flags import checks as check

_SECURITY = "Security"

INI, KERBEROS = "INI_AUTHNZ", "KERBEROS5_AUTHN"


@dataclasses.dataclass(frozen=True)
class SecurityFlags:
    http_authentication_mechanism: tuple[str, ...] = declare(
        ("NONE",),
        _SECURITY,
        "How callers say who they are: NONE (nobody is asked), BASIC (a password), NEGOTIATE (Kerberos), or both",
        check.mechanisms,
    )
    shiro_realm_modules: tuple[str, ...] = declare(
        (INI,), _SECURITY, f"Who knows callers: {INI} (the file of users and roles), {KERBEROS}", check.realms
    )
    shiro_ini_path: str | None = declare(
        None, _SECURITY, "The file of users and roles; read again when it changes", check.ini_path
    )
    shiro_credentials_matcher: Literal["ANY", "HASHED"] = declare(
        "ANY", _SECURITY, "HASHED: refuse a file that has passwords which are not hashed"
    )
    shiro_after_auth_filter: Literal["RUN_AS"] | None = declare(
        None, _SECURITY, "RUN_AS: callers with the permission http.runAs:USER may act for that user"
    )
    kerberos_server_keytab: Path | None = declare(None, _SECURITY, f"The server's keytab, for {KERBEROS}")
    kerberos_server_principal: str | None = declare(
        None, _SECURITY, f"The server's principal, such as HTTP/host@REALM, for {KERBEROS}"
    )
    kerberos_debug: bool = declare(False, _SECURITY, "Log why tickets are refused")
    http_anonymous_reads: bool = declare(
        True, _SECURITY, "With authentication: false closes pages, statistics and reading calls to unknown callers"
    )
    enable_cors_for: str | None = declare(
        None,
        _SECURITY,
        "The site whose pages may use /api in other people's browsers, as https://host; * = all",
        check.origin,
    )
    http_tls_key: Path | None = declare(None, _SECURITY, "PEM file: the HTTP ports' key; they speak TLS then")
    http_tls_certificate: Path | None = declare(
        None, _SECURITY, "PEM file: their certificate, and those up to the root"
    )
    http_tls_client_ca: Path | None = declare(
        None, _SECURITY, "PEM file: authorities; only clients with a certificate of theirs may connect"
    )

    @property
    def secured(self) -> bool:
        """Whether callers are asked who they are."""
        return self.http_authentication_mechanism != ("NONE",)

    @property
    def http_scheme(self) -> str:
        return "http" if self.http_tls_key is None else "https"

    @property
    def users_file(self) -> Path | None:
        return Path(self.shiro_ini_path.removeprefix("file:")) if self.shiro_ini_path is not None else None
