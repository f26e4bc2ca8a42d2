"""`aurora completion`: what real shells make of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from client import completion
from client.nouns import NOUNS, OLD_VERBS
from tests.client.conftest import Runner

BASH = """
source {file}
COMP_WORDS=({words}) COMP_CWORD={last}
_{program}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def completed(aurora: Runner, tmp_path: Path) -> object:
    """What bash offers for the last of some words."""

    def run(program: str, *words: str) -> list[str]:
        file = tmp_path / "completion.bash"
        file.write_text(aurora("completion", "bash", *(["aurora_admin"] if program == "aurora_admin" else [])).out)
        quoted = " ".join(f"'{word}'" for word in (program, *words))
        script = BASH.format(file=file, words=quoted, last=len(words), program=program)
        told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
        assert told.stderr == ""
        return told.stdout.split()

    return run


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("aurora", "jo"), ["job"]),
        (("aurora", "job", "kill"), ["kill", "killall"]),
        (("aurora", "job", "create", "--wa"), ["--wait-until"]),
        (("aurora", "job", "create", "--wait-until", ""), ["PENDING", "RUNNING", "FINISHED"]),
        (("aurora", "job", "create", "x"), []),
        (("aurora", "kill", "--b"), ["--batch_size"]),
        (("aurora_admin", "host_a"), ["host_activate"]),
        (("aurora_admin", "reconcile_tasks", "--ty"), ["--type"]),
        (("aurora_admin", "reconcile_tasks", "--type", "im"), ["implicit"]),
    ],
)
def test_bash_offers_commands_options_and_choices(
    completed: object, words: tuple[str, ...], offered: list[str]
) -> None:
    assert callable(completed)
    assert completed(*words) == offered


def test_bash_offers_every_noun_and_older_verb(completed: object) -> None:
    assert callable(completed)
    assert set(completed("aurora", "")) == {*NOUNS, *OLD_VERBS}


def test_fish_offers_them_with_what_they_are(aurora: Runner, tmp_path: Path) -> None:
    file = tmp_path / "aurora.fish"
    file.write_text(aurora("completion", "fish").out)

    def offered(line: str) -> list[str]:
        script = f"source {file}; complete -C '{line}'"
        told = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, check=True)
        return told.stdout.splitlines()

    assert "kill\tKill some instances of a job" in offered("aurora job k")
    assert any(line.startswith("--batch-size\t") for line in offered("aurora job kill --batch"))
    assert {line.split("\t")[0] for line in offered("aurora job create --wait-until ")} == {
        "PENDING",
        "RUNNING",
        "FINISHED",
    }


ZSH = """
autoload -Uz compinit && compinit -u -d {folder}/dump
_describe() {{ print -rl -- ${{(P)2}} }}
_arguments() {{ print -rl -- "$@" }}
source {file}
words=({words}) CURRENT={last}
_aurora
"""


def test_zsh_offers_them_with_what_they_are(aurora: Runner, tmp_path: Path) -> None:
    file = tmp_path / "_aurora"
    file.write_text(aurora("completion", "zsh").out)

    def offered(*words: str) -> list[str]:
        quoted = " ".join(f"'{word}'" for word in ("aurora", *words))
        script = ZSH.format(folder=tmp_path, file=file, words=quoted, last=len(words) + 1)
        told = subprocess.run(["zsh", "-f", "-c", script], capture_output=True, text=True, check=True)
        return told.stdout.splitlines()

    assert "job:Work with jobs" in offered("")
    assert "kill:Kill some instances of a job" in offered("job", "k")
    (line,) = [line for line in offered("job", "create", "-") if line.startswith("*--wait-until[")]
    assert line.endswith("(PENDING RUNNING FINISHED)")


def test_another_shell_is_told_which_there_are(aurora: Runner) -> None:
    ran = aurora("completion", "tcsh")
    assert (ran.code, ran.err.splitlines()[0]) == (
        2,
        f"usage: aurora completion {'|'.join(completion.SHELLS)} [aurora_admin]",
    )
    assert aurora("completion", "--help").code == 0
