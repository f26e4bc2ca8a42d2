"""Finding the verb, and how commands end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aurorad import __version__
from client.nouns import NOUNS, OLD_VERBS
from tests.client.conftest import KEY, Runner
from tests.client.fake_scheduler import FakeScheduler


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"], ["-help"]])
def test_help_lists_all_commands(aurora: Runner, words: list[str]) -> None:
    ran = aurora(*words)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("usage: aurora [-h] [--version] NOUN VERB")
    assert "\ncommands:\n" in ran.out
    assert all(f"  {noun} " in ran.out for noun in NOUNS)


def test_the_version_is_printed(aurora: Runner) -> None:
    assert aurora("--version").out == f"{__version__}\n"
    assert __version__ in aurora("version").out


@pytest.mark.parametrize("words", [["job", "-h"], ["help", "job"], ["job", "--help"]])
def test_help_for_a_noun_lists_its_verbs(aurora: Runner, words: list[str]) -> None:
    ran = aurora(*words)
    assert ran.code == 0
    assert "subcommands:\n" in ran.out
    assert "create" in ran.out


@pytest.mark.parametrize("words", [[noun, verb] for noun, described in NOUNS.items() for verb in described.verbs])
def test_every_verb_explains_itself(aurora: Runner, words: list[str]) -> None:
    ran = aurora(*words, "-h")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"usage: aurora {' '.join(words)} [-h]")
    assert "--skip-hooks HOOK,HOOK,..." in ran.out


@pytest.mark.parametrize(
    ("words", "now"),
    [
        (["job", "update"], "update start --wait"),
        (["job", "cancel-update"], "update abort"),
        (["beta-update", "status"], "update info"),
    ],
)
def test_names_between_the_dialects_still_do(aurora: Runner, words: list[str], now: str) -> None:
    ran = aurora(*words, "-h")
    assert ran.out.startswith(f"usage: aurora {' '.join(now.split()[:2])} ")
    assert ran.err == f" WARN] 'aurora {' '.join(words)}' is called 'aurora {now}' now\n"


def test_the_new_forms_of_old_verbs_exist() -> None:
    for form in OLD_VERBS.values():
        noun, verb, *_ = form.split()
        assert verb in NOUNS[noun].verbs


def test_options_may_stand_anywhere_and_be_shortened(aurora: Runner, scheduler: FakeScheduler, job_file: Path) -> None:
    for words in (
        ["--write", KEY, job_file],
        [KEY, "--write-json", job_file],
        [KEY, job_file, "--write-j", "--bind=word=x"],
    ):
        ran = aurora("job", "inspect", *words)
        assert (ran.code, ran.out[0]) == (0, "{")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["job", "status", "a/b/c/d/e"], "CLUSTER[/ROLE[/ENV[/NAME]]] was expected"),
        (["job", "killall", "a/b/c"], "'a/b/c' is not a job key: CLUSTER/ROLE/ENV/NAME was expected"),
        (["job", "killall", "a/b c/d/e"], "role, environment and name may hold letters"),
        (["job", "kill", "a/b/c/d/4-1"], "Invalid instance range: ['4', '1']"),
        (["job", "kill", "a/b/c/d/0-9999999999"], "'0-9999999999': instances up to 9999999 were expected"),
        (["job", "add", "a/b/c/d/99999999", "1"], "'a/b/c/d/99999999': an instance up to 9999999 was expected"),
        (["job", "add", "a/b/c/d/0", "2147483648"], "'2147483648': 2147483647 at most was expected"),
        (["job", "kill", "a/b/c/d/x"], "'x' is not a list of instances such as 0,2,5-7"),
        (["quota", "get", "a"], "Role argument must be a CLUSTER/NAME pair"),
        (["update", "list", "a/b/c/d/e"], "Update filter must be a path of the form CLUSTER/ROLE/ENV/JOB."),
        (["update", "list", "--status", "sleeping", "a"], "'sleeping': one of active, all, "),
        (["config", "list", "--bind", "x", "f"], "Binding parameter must be formatted name=value"),
        (["config", "list", "--bind", "x y=1", "f"], "Could not parse binding parameter x y=1: "),
        (["job", "create"], "the following arguments are required: CLUSTER/ROLE/ENV/NAME, pathname"),
        (["job", "kill", "--batch-size", "0", "a/b/c/d/1"], "a whole number of 1 or more was expected"),
    ],
)
def test_a_bad_argument_is_a_usage_error_that_says_what_is_right(
    aurora: Runner, words: list[str], message: str
) -> None:
    ran = aurora(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("usage: aurora ")
    assert ": error: " in ran.err
    assert message in ran.err


def test_an_interrupted_command_is_status_130(
    aurora: Runner, monkeypatch: pytest.MonkeyPatch, scheduler: FakeScheduler
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("client.verbs.job_list.matching", interrupt)
    ran = aurora("job", "list", "west")
    assert (ran.code, ran.err) == (130, "ERROR] Command interrupted by user\n")


def test_a_defect_is_one_line_and_with_verbose_a_traceback(aurora: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.verbs.job_list.matching", lambda *_: 1 / 0)
    ran = aurora("job", "list", "west")
    assert ran.code == 20
    assert ran.err == ("Fatal error running command: ZeroDivisionError: division by zero (--verbose shows where)\n")
    assert "Traceback" in aurora("job", "list", "--verbose", "west").err


def test_in_a_process_of_its_own_it_answers_and_loads_little(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "client.main", "version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert __version__ in done.stdout
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert not loaded & {"requests", "pystachio", "msgspec", "trio", "quart", "rich", "click"}


def test_a_reader_that_stops_reading_ends_it_quietly(home: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m client.main help | head -1"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("usage: aurora")
    assert done.stderr == ""
