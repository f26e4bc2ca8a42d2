import json
from pathlib import Path
from typing import Any

import pytest
from kazoo.security import make_digest_acl_credential

from executor.announcer_auth import Access, BadAuthFile, Credential, ZooKeeperAuth, parse_auth, read_auth_file

ALL = {"read": True, "write": True, "create": True, "delete": True, "admin": True}


def parse(**file: Any) -> ZooKeeperAuth:
    return parse_auth(json.dumps(file).encode())


def acl(scheme: str, credential: str, **permissions: bool) -> dict[str, Any]:
    return {"scheme": scheme, "credential": credential, "permissions": permissions}


def test_both_lists_may_be_left_out() -> None:
    assert parse() == ZooKeeperAuth()


def test_credentials_are_given_as_they_are() -> None:
    auth = parse(auth=[{"scheme": "digest", "credential": "user:pass"}])
    assert auth.credentials == (Credential("digest", "user:pass"),)


def test_a_digest_is_hashed_as_zookeeper_does_it() -> None:
    (access,) = parse(acl=[acl("digest", "user:pass:word", read=True)]).acl
    assert access == Access("digest", make_digest_acl_credential("user", "pass:word"), 1)


def test_other_schemes_pass_through() -> None:
    assert parse(acl=[acl("world", "anyone", read=True)]).acl == (Access("world", "anyone", 1),)


@pytest.mark.parametrize(
    ("permissions", "bits"),
    [
        ({}, 0),
        ({"read": True}, 1),
        ({"write": True}, 2),
        ({"create": True}, 4),
        ({"delete": True}, 8),
        ({"admin": True}, 16),
        ({**ALL, "admin": False}, 15),
        (ALL, 31),
    ],
)
def test_permissions_are_zookeepers_bits(permissions: dict[str, bool], bits: int) -> None:
    assert parse(acl=[acl("world", "anyone", **permissions)]).acl[0].permissions == bits


@pytest.mark.parametrize(
    "file",
    [
        {"auths": []},
        {"auth": [{"scheme": "digest", "credential": "u:p", "user": "u"}]},
        {"acl": [acl("world", "anyone", execute=True)]},
        {"auth": [{"scheme": "digest"}]},
        {"auth": [{"credential": "u:p"}]},
        {"acl": [{"scheme": "world", "credential": "anyone"}]},
        {"acl": [acl("world", "anyone", read="yes")]},  # type: ignore[arg-type]  # what is wrong
        {"auth": {"scheme": "digest", "credential": "u:p"}},
        {"auth": [{"scheme": "sasl", "credential": "u:p"}]},
    ],
)
def test_what_is_unknown_missing_or_of_another_type_is_refused(file: dict[str, Any]) -> None:
    with pytest.raises(BadAuthFile, match=r"^ZK authentication config is invalid.+"):
        parse(**file)


@pytest.mark.parametrize("content", [b"", b"{", b"auth: []", b'{"auth": [{"scheme": "\xff"}]}'])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(BadAuthFile, match=r"^Problem parsing ZK authentication config .+"):
        parse_auth(content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadAuthFile, match=r"^Failed to open config file .*No such file.*/auth.json'$"):
        read_auth_file(tmp_path / "auth.json")


@pytest.mark.parametrize("credential", ["user", "", ":", "user:", ":password"])
def test_a_digest_has_a_user_and_a_password(credential: str) -> None:
    with pytest.raises(BadAuthFile, match=r"^Digest credential should be of the form <user>:<password>$"):
        parse(acl=[acl("digest", credential)])


def test_no_message_and_no_representation_has_a_credential_in_it() -> None:
    assert "secret" not in repr(parse(auth=[{"scheme": "digest", "credential": "user:secret"}]))
    for file in ({"auth": [{"scheme": "digest", "credential": ["secret"]}]}, {"acl": [acl("digest", "secret")]}):
        with pytest.raises(BadAuthFile) as error:
            parse(**file)
        assert "secret" not in str(error.value)
    with pytest.raises(BadAuthFile) as error:
        parse_auth(b'{"auth": [{"scheme": "digest", "credential": "secret\xff"}]}')
    assert "secret" not in str(error.value)
