"""What the flags about security make, refuse and warn of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aurorad.flags import FlagError, Flags, parse
from aurorad.vars import Vars
from aurorad.web import kerberos as module
from aurorad.web.authentication import WrongCredentials
from aurorad.web.kerberos import Acceptor, NoKerberos, user_name
from aurorad.web.security import Security, warnings
from aurorad.web.tls import BadCertificate
from aurorad.web.users import BadUsers

BASIC = "-http_authentication_mechanism=BASIC"
NEGOTIATE = "-http_authentication_mechanism=NEGOTIATE"
INI = "-shiro_ini_path=/etc/users.ini"
BOTH_REALMS = "-shiro_realm_modules=KERBEROS5_AUTHN,INI_AUTHNZ"
KERBEROS = ("-kerberos_server_keytab=/etc/http.keytab", "-kerberos_server_principal=HTTP/here")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [BASIC, INI],
        [BASIC, "-shiro_ini_path=file:/etc/users.ini"],
        [NEGOTIATE, BOTH_REALMS, *KERBEROS, INI],
        [NEGOTIATE, "-shiro_realm_modules=KERBEROS5_AUTHN", *KERBEROS],
        ["-http_authentication_mechanism=BASIC,NEGOTIATE", BOTH_REALMS, *KERBEROS, INI],
        [INI],
        ["-http_tls_key=k", "-http_tls_certificate=c", "-http_tls_client_ca=a"],
        ["-enable_cors_for=*"],
        ["-enable_cors_for=https://friend.example:8443"],
    ],
)
def test_these_go_together(arguments: list[str]) -> None:
    parse(arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([BASIC], "-http_authentication_mechanism=BASIC: shiro.ini is required."),
        ([NEGOTIATE, INI], "together with it KERBEROS5_AUTHN was expected in -shiro_realm_modules"),
        ([BASIC, "-shiro_realm_modules=KERBEROS5_AUTHN"], "together with it INI_AUTHNZ was expected"),
        ([NEGOTIATE, BOTH_REALMS, INI, KERBEROS[0]], "-kerberos_server_principal was expected with it"),
        ([NEGOTIATE, BOTH_REALMS, INI, KERBEROS[1]], "-kerberos_server_keytab was expected with it"),
        (["-http_authentication_mechanism=DIGEST"], "NONE, BASIC, NEGOTIATE or BASIC,NEGOTIATE was expected"),
        (["-http_authentication_mechanism=NONE,BASIC"], "NONE, BASIC, NEGOTIATE or BASIC,NEGOTIATE was expected"),
        (["-shiro_realm_modules=com.example.Realm"], "others cannot be plugged in"),
        (["-shiro_credentials_matcher=com.example.Matcher"], "one of ANY, HASHED was expected"),
        (["-shiro_after_auth_filter=com.example.Filter"], "one of RUN_AS was expected"),
        (["-shiro_ini_path=classpath:users.ini"], "a file's path, perhaps after file: was expected"),
        (["-http_anonymous_reads=false"], "not expected with -http_authentication_mechanism=NONE"),
        (["-shiro_after_auth_filter=RUN_AS"], "not expected with -http_authentication_mechanism=NONE"),
        (["-http_tls_key=k"], "-http_tls_key=k: together with it -http_tls_certificate was expected"),
        (["-http_tls_certificate=c"], "together with it -http_tls_key was expected"),
        (["-http_tls_client_ca=a"], "together with it -http_tls_key was expected"),
        (["-enable_cors_for=a.example"], "one site such as https://host, or * was expected"),
        (["-enable_cors_for="], "one site such as https://host, or * was expected"),
    ],
)
def test_these_do_not(arguments: list[str], message: str) -> None:
    with pytest.raises(FlagError, match=re.escape(message)):
        parse(arguments)


def test_with_tls_the_leader_is_advertised_as_https() -> None:
    keys = ["-http_tls_key=k", "-http_tls_certificate=c"]
    assert parse([]).serverset_endpoint_name == "http"
    assert parse(keys).serverset_endpoint_name == "https"
    assert parse([*keys, "-serverset_endpoint_name=tls"]).serverset_endpoint_name == "tls"


@pytest.mark.parametrize(
    ("flags", "loopback", "root", "words"),
    [
        (Flags(), True, False, []),
        (Flags(), True, True, ["every user of this machine may run tasks as any user, root too"]),
        (Flags(), False, False, ["whoever reaches its port may run tasks as the user whom it runs as"]),
        (Flags(), False, True, ["whoever reaches its port may run tasks as any user, root too"]),
        (Flags(engine="simulated"), True, True, []),
        (Flags(engine="simulated"), False, True, ["whoever reaches its port may do everything"]),
        (Flags(role=("observer",)), True, True, []),
        (parse([BASIC, INI]), True, True, []),
        (parse([BASIC, INI]), False, True, ["passwords come here as plain text"]),
        (parse([BASIC, INI, "-http_tls_key=k", "-http_tls_certificate=c"]), False, True, []),
        (parse([NEGOTIATE, BOTH_REALMS, *KERBEROS, INI]), False, True, []),
    ],
)
def test_an_operator_is_told_what_is_open(flags: Flags, loopback: bool, root: bool, words: list[str]) -> None:
    told = warnings(flags, loopback=loopback, root=root)
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))


def test_what_is_wrong_with_its_files_keeps_the_daemon_from_starting(tmp_path: Path) -> None:
    with pytest.raises(BadUsers, match="cannot be read: No such file"):
        Security(parse([BASIC, f"-shiro_ini_path={tmp_path}/users.ini"]), Vars())
    with pytest.raises(BadUsers, match="cannot be read: No such file"):  # also where nobody is asked
        Security(parse([f"-shiro_ini_path={tmp_path}/users.ini"]), Vars())
    (tmp_path / "users.ini").write_text("[users]\nann = apple")
    with pytest.raises(BadUsers, match="the password is not hashed"):
        Security(parse([f"-shiro_ini_path={tmp_path}/users.ini", "-shiro_credentials_matcher=HASHED"]), Vars())
    with pytest.raises(BadCertificate, match="cannot be read"):
        Security(parse([f"-http_tls_key={tmp_path}/key", f"-http_tls_certificate={tmp_path}/pem"]), Vars())
    with pytest.raises(NoKerberos, match=f"-kerberos_server_keytab={tmp_path}/keytab cannot be read"):
        Acceptor(tmp_path / "keytab", "HTTP/here@REALM")
    (tmp_path / "keytab").write_bytes(b"nothing")
    with pytest.raises(NoKerberos, match=r"-kerberos_server_principal=HTTP/here@REALM with -kerberos_server_keytab="):
        Acceptor(tmp_path / "keytab", "HTTP/here@REALM")


@pytest.mark.parametrize(("mode", "told"), [(0o644, 1), (0o640, 0), (0o600, 0)])
def test_a_key_that_everybody_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, told: int
) -> None:
    (tmp_path / "keytab").touch(mode=0o600)
    (tmp_path / "keytab").chmod(mode)
    Security(parse([f"-kerberos_server_keytab={tmp_path}/keytab"]), Vars())
    assert caplog.text.count("can be read by every user") == told


def test_without_its_package_kerberos_is_told_to_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gssapi", None)
    with pytest.raises(NoKerberos, match="KERBEROS5_AUTHN needs the Python package gssapi"):
        module.Acceptor(tmp_path, "HTTP/here@REALM")


@pytest.mark.parametrize(
    ("principal", "name"),
    [
        ("ann@REALM", "ann"),
        ("ci/builder@REALM", "ci/builder"),
        ("ann@ELSEWHERE", "ann@ELSEWHERE"),
        (r"ann\@ELSEWHERE@REALM", r"ann\@ELSEWHERE"),
    ],
)
def test_a_ticket_is_of_a_user_here_or_elsewhere(principal: str, name: str) -> None:
    assert user_name(principal, "REALM") == name


@pytest.mark.parametrize("realm", ["REALM", "WELLKNOWN:ANONYMOUS"])
def test_a_ticket_that_anybody_gets_is_nobodys(realm: str) -> None:
    with pytest.raises(WrongCredentials):
        user_name(f"WELLKNOWN/ANONYMOUS@{realm}", "REALM")
