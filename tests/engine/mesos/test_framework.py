from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import msgspec
import pytest

from aurorad.engine.mesos.framework import BadCredential, Credential, framework_info, read_credential
from aurorad.engine.mesos.messages import FrameworkInfo

plain = partial(
    framework_info,
    name="Aurora",
    user="root",
    failover_timeout_s=1814400.0,
    role=None,
    principal=None,
    hostname="h",
    webui_url="http://h:8081",
    revocable=False,
    gpus=False,
    partition_aware=False,
)


def test_a_framework_says_no_more_than_it_must() -> None:
    assert json.loads(msgspec.json.encode(plain())) == {
        "name": "Aurora",
        "user": "root",
        "failover_timeout": 1814400.0,
        "checkpoint": True,
        "hostname": "h",
        "webui_url": "http://h:8081",
    }


@pytest.mark.parametrize(
    ("info", "field", "written"),
    [
        (plain(role="web"), "role", "web"),
        (plain(principal="aurora"), "principal", "aurora"),
        (plain(revocable=True), "capabilities", [{"type": "REVOCABLE_RESOURCES"}]),
        (plain(gpus=True), "capabilities", [{"type": "GPU_RESOURCES"}]),
        (plain(partition_aware=True), "capabilities", [{"type": "PARTITION_AWARE"}]),
    ],
)
def test_what_flags_add_to_a_framework(info: FrameworkInfo, field: str, written: object) -> None:
    assert json.loads(msgspec.json.encode(info))[field] == written


@pytest.mark.parametrize(
    "text",
    [
        "aurora_authentication_principal=aurora\naurora_authentication_secret=s3cret=!",
        "# a comment\n\n! another\n  aurora_authentication_principal : aurora\naurora_authentication_secret s3cret=!\n",
        "aurora_authentication_principal=aur\\\n   ora\r\naurora_authentication_secret = s3cret\\=\\u0021",
        "aurora_authentication_principal=other\naurora_authentication_secret=s3cret=!\n"
        "aurora_authentication_principal=aurora\nmore=",
    ],
)
def test_a_credential_is_read_as_java_reads_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(text)
    assert read_credential(tmp_path / "file") == Credential("aurora", "s3cret=!")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "aurora_authentication_principal and aurora_authentication_secret expected in it"),
        ("aurora_authentication_secret=s3cret", "aurora_authentication_principal expected in it"),
        ("aurora_authentication_principal=a:b\naurora_authentication_secret=s3cret", "a principal without a colon"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_without_a_credential_is_refused_without_a_word_of_it(
    text: str | None, expected: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "file").write_text(text)
    with pytest.raises(BadCredential, match=expected) as refused:
        read_credential(tmp_path / "file")
    assert "-framework_authentication_file=" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_credential_does_not_show_its_secret() -> None:
    assert "s3cret" not in repr(Credential("aurora", "s3cret"))
