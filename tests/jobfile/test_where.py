"""What is wrong with a job is told with the part of it and the line on which that was made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurorad.jobfile import jobs, loader
from aurorad.jobfile.errors import ConfigError
from tests.jobfile.evaluating import evaluate, minimal

TEMPLATE = """
slow = Process(name = 'slow', cmdline = 'x', {process})
task = Task(
    processes = [Process(name = 'fast', cmdline = 'x'), slow],
    resources = Resources(cpu = 1, ram = MB, disk = MB)
)
jobs = [
    Job(
        cluster = 'west', role = 'bozo', environment = 'test', name = 'hello', {job}
        task = task)
]
"""


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        evaluate(folder, text)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("process", "job", "place"),
    [
        ("max_failures = 'many'", "", "(Process at job.aurora:2, task.processes[1].max_failures)"),
        ("logger = {'rotate': {'backups': 'x'}}", "", "(RotatePolicy at job.aurora:2, "),
        ("resources = Resources(cpu = 1)", "", "(Resources at job.aurora:2, task.processes[1].resources)"),
        ("", "instances = 'many',", "(Job at job.aurora:8, instances)"),
        ("", "constraints = {'host': 3, 'rack': []},", "(Job at job.aurora:8, constraints[rack])"),
        ("", "update_config = UpdateConfig(watch_secs = '{{soon}}'),", "(UpdateConfig at job.aurora:9, update_config."),
        ("", "container = Docker(),", "(Docker at job.aurora:9, container)"),
        ("", "container = {'picture': 1},", "(Job at job.aurora:8, container)"),
        ("", "contact = '{{who}}',", "(Job at job.aurora:8, contact)"),
        (
            "",
            "metadata = [Metadata(key = '{{ x', value = '{{ x }}')],",
            "(Metadata at job.aurora:9, metadata[0].value)",
        ),
    ],
)
def test_the_innermost_part_is_named_with_its_line(tmp_path: Path, process: str, job: str, place: str) -> None:
    assert place in refusal(tmp_path, TEMPLATE.format(process=process, job=job))


def test_a_plan_that_cannot_be_is_the_tasks(tmp_path: Path) -> None:
    text = TEMPLATE.format(process="", job="").replace(
        "resources =", "constraints = order('slow', 'slow'), resources ="
    )
    assert refusal(tmp_path, text).endswith(
        "Cycles detected in the task schedule! slow -> slow (Task at job.aurora:3, task)"
    )


def test_a_copy_counts_as_made_where_it_was_copied(tmp_path: Path) -> None:
    text = TEMPLATE.format(process="", job="") + "\njobs = [jobs[0](task = task(\n  name = '{{nobody}}'))]"
    assert refusal(tmp_path, text) == "Config contains unbound variables: {{nobody}} (Task at job.aurora:13, task.name)"


def test_bindings_of_the_command_line_do_not_hide_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\(Process at .*job\.aurora:2, task\.processes\[1\]\.max_failures\)"):
        evaluate(tmp_path, TEMPLATE.format(process="max_failures = '{{n}}'", job=""), ("n", "many"))


def test_an_included_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "base.aurora").write_text("\ndef make(**fields):\n    return Process(**fields)\n")
    text = "include('base.aurora')\n" + minimal(processes="make(name = 'x')")
    assert "(Process at base.aurora:3, task.processes[0])" in refusal(tmp_path, text)


def test_json_has_no_lines_but_parts(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    process = {"name": "p"}
    job = {"cluster": "c", "role": "r", "environment": "test", "task": {"processes": [process]}}
    file.write_text(json.dumps(job))
    (loaded,) = loader.load_json(file).jobs
    with pytest.raises(ConfigError, match=r"Process\[cmdline\] is required\. \(task\.processes\[0\]\)$"):
        jobs.evaluate(loaded)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("Job(instnces = 3)", "Unknown schema attribute instnces (did you mean instances?); MesosJob has announce, "),
        ("Job().instnces()", "AttributeError: MesosJob has no attribute instnces (did you mean instances?)"),
        ("Procces(name = 'x')", "NameError: name 'Procces' is not defined (did you mean Process?)"),
        ("my_task = 1\nmy_tasc", "NameError: name 'my_tasc' is not defined (did you mean my_task?)"),
        ("'x'.uper()", "AttributeError: 'str' object has no attribute 'uper' (did you mean upper?)"),
        ("Task(Process())", "ValueError: Task is made of fields as name = value, and not of a Process"),
        ("Job(task = Process())", "ValueError: Task is made of fields as name = value, and not of a Process"),
        ("Job(task = 'x')", "ValueError: Task is made of fields as name = value, and not of 'x'"),
        ("order(3)", "ValueError: Unknown value for process order: 3"),
        ("{}['x']", "KeyError: 'x'"),
    ],
)
def test_what_the_authors_own_code_raises_is_told_in_one_line(tmp_path: Path, code: str, message: str) -> None:
    text = refusal(tmp_path, code)
    assert text.startswith("job.aurora:")
    assert message in text
    assert "\n" not in text
