"""Hashed passwords, and the command that makes them."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from aurorad.passwords import BadHash, hashed, is_hashed, main, matches

HASH = hashed("apple", salt=bytes(16))


def test_a_hash_stands_for_its_password_alone() -> None:
    assert matches(HASH, "apple")
    assert not matches(HASH, "pear")
    assert not matches(HASH, HASH)


def test_equal_passwords_have_different_hashes() -> None:
    assert hashed("apple") != HASH != hashed("apple")


def test_a_hash_does_not_show_its_password_and_fits_into_a_file_of_users() -> None:
    assert HASH.startswith("$scrypt$16$8$2$")
    assert "apple" not in HASH
    assert not set(HASH) & set(',"=:#;[]\\ \t')


@pytest.mark.parametrize(("stored", "right"), [("apple", True), ("Apple", False), ("", False), ("ápple", False)])
def test_a_plain_password_is_compared_as_it_is(stored: str, right: bool) -> None:
    assert matches(stored, "apple") is right
    assert not is_hashed(stored)


def test_passwords_may_have_any_characters() -> None:
    for password in ("pässwörd", "🔑", "\udcff", "a:b", "$", "$$"):
        assert matches(password, password)
    assert matches(hashed("🔑\udcff"), "🔑\udcff")


@pytest.mark.parametrize(
    "stored",
    [
        "$2y$10$abcdefghijklmnopqrstuv",
        "$shiro1$SHA-256$500000$c2FsdA==$ZGlnZXN0",
        "$scrypt$ln=16,r=8,p=2$c2FsdA$ZGlnZXN0",
        "$scrypt$30$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$16$99$1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$16$8$0$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$16$8$1$AAAAAAAAAAAAAAAAAAAAAA$A",
        "$scrypt$16$8$1$AAAAAAAAAAAAAAAAAAAAAA$AAAA",
    ],
)
def test_hashes_that_cannot_be_checked_are_not_taken_for_passwords(stored: str) -> None:
    with pytest.raises(BadHash):
        is_hashed(stored)


def test_the_command_reads_a_line_and_prints_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hash"], io.StringIO("apple\r\nnothing of this\n")) == 0
    assert matches(capsys.readouterr().out.strip(), "apple")


def test_on_a_terminal_it_asks_twice(capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    answers = iter(["apple", "apple", "apple", "aple"])
    assert main(["hash"], Terminal(), lambda _: next(answers)) == 0
    assert matches(capsys.readouterr().out.strip(), "apple")
    assert main(["hash"], Terminal(), lambda _: next(answers)) == 1
    assert capsys.readouterr().err == "aurorad: the two are not the same\n"


@pytest.mark.parametrize(("arguments", "status"), [([], 1), (["hash", "apple"], 1), (["check"], 1), (["--help"], 0)])
def test_a_password_is_never_an_argument(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments, io.StringIO("apple\n")) == status
    output = capsys.readouterr()
    assert "usage: aurorad password hash" in output.out + output.err
    assert "$scrypt" not in output.out


def test_an_empty_password_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hash"], io.StringIO("\n")) == 1
    assert capsys.readouterr().err == "aurorad: a password was expected\n"


def test_the_daemons_program_has_the_command_and_the_terminal_does_not_show_what_is_typed() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "aurorad.main", "password", "hash"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[1],
    ) as process:
        os.close(theirs)
        shown = b""
        for prompt in (b"Password: ", b"Again: "):
            while prompt not in shown:
                shown += os.read(ours, 1000)
            os.write(ours, b"apple\n")
        assert process.stdout is not None
        output = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    assert matches(output.strip(), "apple")
    assert b"apple" not in shown
