"""What starts installed programs with the flags of a file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from aurorad.flags import parse

PACKAGING = Path(__file__).parents[2] / "packaging"
SHELLS = ("dash", "bash --posix")
TOLD = "#!/bin/sh\nprintf '%s\\0' \"$@\"\n"

pytestmark = pytest.mark.parametrize("shell", SHELLS)


class Installed:
    """One of the wrappers, and a program that says what it was given."""

    def __init__(self, folder: Path, shell: str, name: str = "aurora-scheduler") -> None:
        self.flags = folder / "flags"
        self._wrapper = folder / name
        self._shell = shell.split()
        self._program = folder / "aurorad"
        self._program.write_text(TOLD)
        self._program.chmod(0o755)
        shutil.copy(PACKAGING / "bin" / name, self._wrapper)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        places = {"AURORAD": str(self._program), "AURORA_FLAGS_FILE": str(self.flags)}
        return subprocess.run(
            [*self._shell, str(self._wrapper), *arguments],
            env={**os.environ, **places},
            cwd=self.flags.parent,
            capture_output=True,
            text=True,
            check=False,
        )

    def given(self, *arguments: str) -> list[str]:
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split("\0")[:-1]

    def complaint(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("", []),
        ("# -a=1\n\n   \t\n  # -b=2\n", []),
        ("-a=1\n--b=2", ["-a=1", "--b=2"]),
        ("\t -a=1 \t\r\n", ["-a=1"]),
        ("-a=b  c\n-d='e' \"f\"\n", ["-a=b  c", "-d='e' \"f\""]),
        ("-a=$HOME ${x} `id` $(id) \\n \\\n-b=1", ["-a=$HOME ${x} `id` $(id) \\n \\", "-b=1"]),
        ("-b=* ? [a] ~ & ; | > x\n", ["-b=* ? [a] ~ & ; | > x"]),
        ("-a=b # c\n-n\n-e x", ["-a=b # c", "-n", "-e x"]),
        ("-a=\n-b=ä=%s", ["-a=", "-b=ä=%s"]),
    ],
)
def test_a_line_is_a_flag_as_it_stands_there(tmp_path: Path, shell: str, text: str, flags: Sequence[str]) -> None:
    it = Installed(tmp_path, shell)
    it.flags.write_text(text, newline="")
    assert it.given() == ["-role=scheduler", *flags]


def test_arguments_follow_the_flags_of_the_file(tmp_path: Path, shell: str) -> None:
    it = Installed(tmp_path, shell)
    it.flags.write_text("-a=1\n-b=2\n")
    assert it.given("-c=3 4", "", "*") == ["-role=scheduler", "-a=1", "-b=2", "-c=3 4", "", "*"]


@pytest.mark.parametrize("subcommand", ["log", "password"])
def test_subcommands_need_no_flags(tmp_path: Path, shell: str, subcommand: str) -> None:
    assert Installed(tmp_path, shell).given(subcommand, "--path=a b") == [subcommand, "--path=a b"]


@pytest.mark.parametrize(
    ("name", "role"),
    [("aurora-scheduler", "scheduler"), ("aurora-single", "scheduler,observer"), ("aurora-observer", "observer")],
)
def test_its_name_says_the_role(tmp_path: Path, shell: str, name: str, role: str) -> None:
    it = Installed(tmp_path, shell, name)
    it.flags.write_text("-a=1")
    assert it.given() == [f"-role={role}", "-a=1"]


def test_the_observer_knows_the_lines_of_the_originals_file(tmp_path: Path, shell: str) -> None:
    it = Installed(tmp_path, shell, "aurora-observer")
    it.flags.write_text("MESOS_ROOT=/tmp/my mesos\nOBSERVER_PORT=1339\n")
    assert it.given() == ["-role=observer", "--mesos-root=/tmp/my mesos", "--port=1339"]
    assert parse(it.given()).mesos_root == Path("/tmp/my mesos")


def test_what_is_no_flag_is_told_with_file_and_line(tmp_path: Path, shell: str) -> None:
    it = Installed(tmp_path, shell)
    it.flags.write_text("# ours\n-a=1\nMESOS_ROOT=/x\n")
    where = f"aurora-scheduler: {it.flags}, line 3: "
    assert it.complaint() == f"{where}a flag was expected, as -name=value, not MESOS_ROOT=/x\n"


def test_a_file_that_is_not_there_is_told(tmp_path: Path, shell: str) -> None:
    it = Installed(tmp_path, shell)
    assert it.complaint() == f"aurora-scheduler: a file of flags was expected: {it.flags}\n"
    it.flags.mkdir()
    assert it.complaint() == f"aurora-scheduler: {it.flags}: a file that can be read was expected\n"


@pytest.mark.parametrize("name", ["aurora-scheduler", "aurora-single", "thermos"])
@pytest.mark.parametrize("commented", [False, True])
def test_the_files_that_are_installed_hold_flags_that_there_are(
    tmp_path: Path, shell: str, name: str, commented: bool
) -> None:
    """Also those that are only proposed, each for itself: they depend on each other."""
    it = Installed(tmp_path, shell, name if name != "thermos" else "aurora-observer")
    text = (PACKAGING / "etc" / name).read_text()
    it.flags.write_text(text.replace("#-", "-") if commented else text)
    given = it.given()
    if not commented:
        assert parse(given).cluster_name == "devcluster"
    elif name == "aurora-scheduler":
        assert parse(given).replicated
    else:
        assert parse(given).secured
