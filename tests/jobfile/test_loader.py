from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from aurorad.jobfile import convert, loader
from aurorad.jobfile.errors import ConfigError
from tests.jobfile.evaluating import evaluate, load, minimal


def test_a_file_defines_jobs_and_hooks(tmp_path: Path) -> None:
    file = load(tmp_path, minimal() + "\nclass Hook:\n    pass\nhooks = [Hook()]")
    assert [str(job.name()) for job in file.jobs] == ["hello"]
    assert type(file.hooks[0]).__name__ == "Hook"


def test_a_file_without_jobs_has_none(tmp_path: Path) -> None:
    assert load(tmp_path, "x = 1").jobs == ()


def test_includes_share_the_namespace_and_start_at_the_including_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.aurora").write_text("include('more.aurora')")
    (tmp_path / "deep" / "more.aurora").write_text("who = 'deep'")
    file = load(tmp_path, "include('deep/one.aurora')\njobs = [Job(name = who)]")
    assert str(file.jobs[0].name()) == "deep"


def test_a_later_assignment_wins_over_an_included_one(tmp_path: Path) -> None:
    file = load(tmp_path, "include('base.aurora')\njobs = [jobs[0](name = 'mine')]", base=minimal())
    assert str(file.jobs[0].name()) == "mine"


def test_a_file_knows_where_it_is(tmp_path: Path) -> None:
    text = "import os\ninclude('other.aurora')\nhere = os.path.basename(__file__)\njobs = [Job(name = there + here)]"
    file = load(tmp_path, text, other="there = os.path.basename(__file__)")
    assert str(file.jobs[0].name()) == "other.aurora" + "job.aurora"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n1 +\n", "job.aurora:1: SyntaxError: '(' was never closed: x = ("),
        ("\nprint 'x'", "job.aurora:2: SyntaxError: Missing parentheses in call to 'print'"),
        ("\n\nnope()", "job.aurora:3: NameError: name 'nope' is not defined"),
        ("def f():\n    return 1 / 0\n\nf()", "job.aurora:2: ZeroDivisionError: division by zero"),
        ("open('/no/such/file')", "job.aurora:1: FileNotFoundError: "),
        ("import sys\nsys.exit(3)", "job.aurora:2: SystemExit: 3"),
        ("Job(nam = 'x')", "Unknown schema attribute nam (did you mean name?); MesosJob has announce, "),
        ("Job(update_config = {'bach_size': 1})", "(did you mean batch_size?); UpdateConfig has "),
        ("Mode('RX')", "ValueError: Enum_RO_RW only accepts the following values: RO, RW"),
        ("include('none.aurora')", "Could not load resource "),
        ("include('job.aurora')", "includes itself: "),
        ("jobs = 3", "job.aurora: jobs must be a list, and it is 3"),
        ("jobs = [Task()]", "jobs must be a list of Job objects, and it holds a Task"),
        ("hooks = None", "job.aurora: hooks must be a list, and it is None"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"base\.aurora:2: NameError"):
        load(tmp_path, "include('base.aurora')", base="\nnope")
    with pytest.raises(ConfigError, match=r"base\.aurora:1: SyntaxError"):
        load(tmp_path, "include('base.aurora')", base="def")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Could not load resource .*none\.aurora: No such file or directory"):
        loader.load(tmp_path / "none.aurora")


@pytest.mark.parametrize("wrapped", [True, False])
def test_json_holds_one_job_or_a_list_of_them(tmp_path: Path, wrapped: bool) -> None:
    job = {"name": "hello", "instances": 3}
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"jobs": [job]} if wrapped else job))
    (loaded,) = loader.load_json(file).jobs
    assert (loaded.name().get(), loaded.instances().get()) == ("hello", 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "x",}', "job.json: not JSON: .*line 1"),
        ("[]", "or one job object was expected, not a list"),
        ('{"nam": "x"}', "job.json: Unknown schema attribute nam"),
        ('{"update_config": {"picture": "x"}}', "Unknown schema attribute picture; UpdateConfig has "),
        ('{"jobs": [1]}', "job.json: MesosJob is made of fields as name = value, and not of 1"),
        ('{"jobs": {"name": "x"}}', "job.json: jobs must be a list"),
    ],
)
def test_json_that_is_no_job_is_told(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "job.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        loader.load_json(file)


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("container", {"image": "x"}, "Docker"),
        ("container", {"docker": {"image": "x"}}, "Container"),
        ("container", {"volumes": [], "image": {"name": "n", "tag": "t"}}, "Mesos"),
        ("sla_policy", {"percentage": 95.0, "duration_secs": 1}, "PercentageSlaPolicy"),
        ("sla_policy", {"count": 2, "duration_secs": 1}, "CountSlaPolicy"),
        ("sla_policy", {"coordinator_url": "http://x"}, "CoordinatorSlaPolicy"),
        ("update_config", {"update_strategy": {"batch_sizes": [1, 2]}}, "UpdateConfig"),
    ],
)
def test_a_json_object_becomes_the_alternative_that_takes_its_keys(
    tmp_path: Path, field: str, value: object, kind: str
) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps({field: value}))
    (job,) = loader.load_json(file).jobs
    chosen = getattr(job, field)()
    assert type(chosen.unwrap() if hasattr(chosen, "unwrap") else chosen).__name__ == kind


def test_a_pipe_may_be_read_but_includes_nothing(tmp_path: Path) -> None:
    for text, message in ((minimal(), None), ("\ninclude('x.aurora')", "You may not include() anything from filelike")):
        read, write = os.pipe()
        os.write(write, text.encode())
        os.close(write)
        with os.fdopen(read):
            if message is None:
                assert len(loader.load(Path(f"/dev/fd/{read}")).jobs) == 1
            else:
                with pytest.raises(ConfigError, match=rf"^/dev/fd/{read}:2: {re.escape(message)}"):
                    loader.load(Path(f"/dev/fd/{read}"))


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ("container = {'image': 'x'}", "docker"),
        ("container = {'docker': {'image': 'x'}}", "docker"),
        ("container = {'volumes': [{'container_path': '/c', 'host_path': '/h', 'mode': 'RO'}]}", "mesos"),
        ("container = {'image': {'name': 'n', 'tag': 't'}}", "mesos"),
    ],
)
def test_a_dictionary_is_the_alternative_that_takes_it(tmp_path: Path, made: str, kind: str) -> None:
    container = convert.convert(evaluate(tmp_path, minimal(made)), "me").task_config.container
    assert container is not None
    assert getattr(container, kind) is not None
