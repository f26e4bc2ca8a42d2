"""The order of words, and ``~/.thermosrc`` (thermos-runner sheet, section 13)."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from executor.thermos.commandline import BadDefaults, arranged, read_defaults


def defaults(text: str = "") -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("status", "status"),
        ("status --root r", "--root r status"),
        ("--root r status --root=s --verbosity 3", "--root r --root=s status --verbosity 3"),
        ("run f --mesos-root m -P a:1", "--mesos-root m run f -P a:1"),
        ("simplerun --root r ls --root x", "--root r simplerun ls --root x"),
        ("simplerun --user u --root r ls --root x", "--root r simplerun --user u ls --root x"),
        ("simplerun --daemon -- ls --root x", "simplerun --daemon -- ls --root x"),
        ("status --root", "--root status"),
        ("", ""),
    ],
)
def test_global_options_may_stand_anywhere_but_in_a_command_line(given: str, expected: str) -> None:
    assert arranged(given.split(), defaults()) == expected.split()


RC = """
[DEFAULT]
options = --root ~/thermos
[run]
options = --root /runs --sandbox '/a b'
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["status"], ["--root", "~/thermos", "status"]),
        (["status", "--root", "r"], ["--root", "r", "--root", "~/thermos", "status"]),
        (["run", "file"], ["--root", "/runs", "run", "--sandbox", "/a b", "file"]),
        (["run", "--sandbox", "s"], ["--root", "/runs", "run", "--sandbox", "/a b", "--sandbox", "s"]),
        ([], ["--root", "~/thermos"]),
    ],
)
def test_what_is_given_wins_over_the_defaults_of_a_command(given: list[str], expected: list[str]) -> None:
    assert arranged(given, defaults(RC)) == expected


def test_a_file_that_cannot_be_understood_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rc"
    assert read_defaults(file).sections() == []
    file.write_text("options")
    with pytest.raises(BadDefaults, match=str(file)):
        read_defaults(file)
    with pytest.raises(BadDefaults, match=r"\[DEFAULT\] options: No closing quotation"):
        arranged(["status"], defaults("[DEFAULT]\noptions = 'a"))
