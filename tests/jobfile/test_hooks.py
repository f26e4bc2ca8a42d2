"""The manuals' examples of hooks (config-schema sheet, section 16): what a file's `hooks` are."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from aurorad.jobfile import jobs
from aurorad.jobfile.errors import ConfigError
from tests.jobfile.evaluating import load
from tests.jobfile.test_examples import example


@pytest.mark.parametrize("listed", ["KillConfirmer", "KillConfirmer()"])
def test_a_hook_is_an_object_or_a_class(tmp_path: Path, listed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (hook,) = load(tmp_path, f"{example('kill_confirmer')}\nhooks = [{listed}]").hooks
    confirmer: Any = hook
    for answer, goes_on in (("Yes", True), ("no", False)):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer + "\n"))
        assert confirmer.pre_kill_job("c/r/e/n", shards=[1]) is goes_on


def test_a_class_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"job\.aurora: hooks: TypeError: .*__init__\(\) missing 1 required"):
        load(tmp_path, "class Hook:\n    def __init__(self, x): pass\nhooks = [Hook]")


def test_no_hooks_are_fine(tmp_path: Path) -> None:
    assert load(tmp_path, "hooks = []").hooks == load(tmp_path, "").hooks == ()


def test_the_last_list_of_included_files_stays(tmp_path: Path) -> None:
    names = "".join(f"class {name}:\n    pass\n" for name in "abcdef")
    file = load(
        tmp_path, f"{names}include('x.aurora')\ninclude('y.aurora')", x="hooks = [a, b, c]", y="hooks = [d, e, f]"
    )
    assert [type(hook).__name__ for hook in file.hooks] == ["d", "e", "f"]


def test_jobs_with_hooks_and_without(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"job\.aurora:6: NameError: .* is not defined \(import getpass first\)"):
        load(tmp_path, example("hook_jobs"))
    file = load(tmp_path, "import getpass\n" + example("hook_jobs"))
    assert [(str(job.cluster()), job.enable_hooks().get()) for job in file.jobs] == [
        ("cluster1", True),
        ("cluster2", True),
        ("cluster1", False),
        ("cluster2", False),
    ]
    assert [jobs.describe(job).split("/")[2] for job in file.jobs] == ["prod"] * 4
    assert file.warnings == (
        f"{tmp_path}/job.aurora:3: Job(env = ...) is from an older version: write environment = ...",
    )


def test_the_generic_hook_as_printed_and_mended(tmp_path: Path) -> None:
    text = example("logger_hook_as_printed")
    with pytest.raises(ConfigError, match=r"job\.aurora:4: SyntaxError: expected ':'"):
        load(tmp_path, text)
    text = text.replace("**kw)\n", "**kw):\n")
    with pytest.raises(ConfigError, match=r"job\.aurora:1: ModuleNotFoundError: .*for a log, Python's logging"):
        load(tmp_path, text)
    text = text.replace("from twitter.common import log", "import logging as log") + "\nhooks = [Logger()]"
    assert hasattr(load(tmp_path, text).hooks[0], "generic_hook")


def test_dots_for_arguments_are_no_code(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"job\.aurora:1: SyntaxError: "):
        load(tmp_path, "def pre_create(...):\n    do_something()\n    return True")
