from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurorad.jobfile import convert, jobs, validate
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.jobs import Selector
from tests.jobfile.evaluating import evaluate, load, minimal, processes


def say(words: str) -> str:
    return f"Process(name = 'say', cmdline = 'echo {words}')"


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{role}} {{cluster}} {{environment}} {{name}}", "bozo west test say"),  # the process's own name is nearest
        ("{{mesos.role}} {{mesos.cluster}} {{thermos.user}}", "bozo west bozo"),
        ("{{mesos.instance}} {{mesos.hostname}} {{thermos.task_id}}", None),
        ("{{thermos.ports[http]}}", None),
        ("{{&escaped}}", "{{escaped}}"),
        ("{{task.processes[0].name}}", "say"),
    ],
)
def test_templates_are_resolved_as_far_as_they_can_be_now(tmp_path: Path, template: str, shown: str | None) -> None:
    config = evaluate(tmp_path, minimal(processes=say(template).replace("'say'", "'say'", 1)))
    expected = template if shown is None else shown
    if "{{name}}" in template:
        expected = "bozo west test say"
    assert processes(config) == {"say": f"echo {expected}"}


def test_the_users_bindings_win_over_the_files_and_later_ones_over_earlier(tmp_path: Path) -> None:
    text = minimal(processes=say("{{a}} {{b}}")) + "jobs = [jobs[0].bind(a = 'file', b = 'file')]"
    config = evaluate(tmp_path, text, ("a", "first"), ("a", "last"))
    assert processes(config) == {"say": "echo last file"}


def test_a_bound_struct_is_a_profile(tmp_path: Path) -> None:
    text = (
        "class Profile(Struct):\n  word = Default(String, 'hello')\n"
        + minimal(processes=say("{{profile.word}}"))
        + "jobs = [jobs[0].bind(profile = Profile())]"
    )
    assert processes(evaluate(tmp_path, text)) == {"say": "echo hello"}


def test_values_are_coerced_by_the_type_of_their_field(tmp_path: Path) -> None:
    assert evaluate(tmp_path, minimal("instances = '{{n}}', service = 'true'"), ("n", "7")).job.instances == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (minimal(processes=say("{{nobody}}")), r"Config contains unbound variables: \{\{nobody\}\}"),
        (minimal(processes=say("{{ x }}")), "A template in double braces cannot be read: .* x "),
        (minimal(processes=say("{{thermos.ports.http}}")), 'Bad port specification "thermos.ports.http"'),
        (
            minimal(processes=say("{{a[{{mesos.instance}}]}}")),
            r"Unexpected unbound refs: \{\{a\[31337\]\}\}. Make sure you are not nesting template variables.",
        ),
        (
            minimal(processes="Process(name = 'say')"),
            r"Task is invalid: Failed to fully evaluate task: Task\[processes\] failed: Element in ProcessList failed "
            r"check: Process\[cmdline\] is required\. \(Process at .*/job\.aurora:4, task\.processes\[0\]\)$",
        ),
        (
            minimal().replace("environment = 'test',", ""),
            r"Job not fully specified: MesosJob\[environment\] is required",
        ),
        (minimal().replace("cluster = 'west',", ""), 'The configuration was invalid: Cluster required for job "hello"'),
        (minimal().replace("role = 'bozo',", ""), 'The configuration was invalid: Role required for job "hello"'),
        (minimal(processes=""), 'Processes required for task on job "hello"'),
        ("jobs = [Job(name = 'x', cluster = 'c', role = 'r')]", 'Task required for job "x"'),
        (minimal("instances = 'many'"), "Unable to interpolate: Cannot coerce 'many' to Integer"),
        (minimal("priority = '{{mesos.instance}}'"), "priority must be the same for every instance"),
        (minimal(processes="Process(name = 'a/b', cmdline = 'x')"), "Invalid process name: a/b"),
        (
            minimal("name = '{{name}}'").replace("name = 'hello', ", ""),
            "A template refers to itself: .*Maximum replacements reached",
        ),
    ],
)
def test_what_is_wrong_with_a_job_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(tmp_path, text)


TWO = minimal() + "jobs += [jobs[0](environment = 'prod'), Job(name = 'bare', cluster = 'west', role = 'bozo')]"


def test_a_job_is_picked_by_its_key(tmp_path: Path) -> None:
    wanted = Selector("west", "bozo", "prod", "hello")
    assert evaluate(tmp_path, TWO, wanted=wanted).job.path == "west/bozo/prod/hello"


@pytest.mark.parametrize(
    ("text", "wanted", "message"),
    [
        ("jobs = []", Selector(None, None, None, "x"), "No job defined in this config!"),
        (TWO, Selector(None, None, None, None), "Configuration has multiple jobs but no job name specified!"),
        (
            TWO,
            Selector("west", None, None, "x"),
            "Could not find job west/*/*/x\n"
            "Job west/bozo/{MISSING}/bare in configuration file doesn't specify an environment\n"
            "Candidates are:\n  west/bozo/test/hello\n  west/bozo/prod/hello\n  west/bozo/{MISSING}/bare",
        ),
        (
            TWO,
            Selector(None, None, None, "hello"),
            "Multiple jobs match, please disambiguate by specifying a job key.\n"
            "Candidates are:\n  west/bozo/test/hello\n  west/bozo/prod/hello\n  west/bozo/{MISSING}/bare",
        ),
    ],
)
def test_a_job_that_cannot_be_picked_lists_the_candidates(
    tmp_path: Path, text: str, wanted: Selector, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        jobs.pick(jobs.bound(load(tmp_path, text).jobs, []), wanted)
    assert str(caught.value) == message


def test_bindings_are_split_at_the_first_equals_sign() -> None:
    assert jobs.parse_binding("a.b[c]=x=y") == ("a.b[c]", "x=y")
    with pytest.raises(ValueError, match="Binding parameter must be formatted name=value"):
        jobs.parse_binding("a")
    with pytest.raises(ValueError, match="Could not parse binding parameter 1=2: "):
        jobs.parse_binding("1=2")


def test_the_same_file_gives_the_same_job_every_time(tmp_path: Path) -> None:
    one, two = evaluate(tmp_path, minimal()), evaluate(tmp_path, minimal())
    assert one.job == two.job


@pytest.mark.parametrize("reference", ["{{mesos.instance}}", "1{{mesos.instance}}"])
def test_numbers_that_only_the_executor_reads_may_be_known_late(tmp_path: Path, reference: str) -> None:
    process = f"Process(name = 'x', cmdline = 'x', max_failures = '{reference}', min_duration = '{reference}')"
    health = f"health_check_config = HealthCheckConfig(initial_interval_secs = '{reference}')"
    config = evaluate(tmp_path, minimal(health, processes=process, task=f"finalization_wait = '{reference}'"))
    data = json.loads(json.dumps(config.source.get()))
    assert data["task"]["processes"][0]["max_failures"] == reference
    assert data["task"]["finalization_wait"] == reference
    assert data["health_check_config"]["initial_interval_secs"] == reference
    assert validate.check(config) == []
    convert.convert(config, "me")


def test_a_flag_of_a_process_known_late_counts_as_it_is_for_some_instance(tmp_path: Path) -> None:
    process = "Process(name = 'x', cmdline = 'x', daemon = '{{mesos.instance}}')"
    message = r"Task is invalid: .*Cannot coerce '31337' to Boolean \(Process at .*, task.processes\[0\].daemon\)"
    with pytest.raises(ConfigError, match=message):
        evaluate(tmp_path, minimal(processes=process))


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ("instances = '{{mesos.instance}}'", "instances"),
        ("max_task_failures = '{{mesos.instance}}'", "max_task_failures"),
        ("update_config = UpdateConfig(batch_size = '{{mesos.instance}}')", "update_config.batch_size"),
    ],
)
def test_numbers_that_the_scheduler_reads_are_known_early(tmp_path: Path, more: str, field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be the same for every instance .* at .*:[23], {field}"):
        evaluate(tmp_path, minimal(more))


def test_an_escaped_template_is_no_reference(tmp_path: Path) -> None:
    words = "{{mesos.instance}} {{&thermos.ports[http]}} {{&nobody}}"
    config = evaluate(tmp_path, minimal(processes=say(words)))
    assert processes(config) == {"say": "echo {{mesos.instance}} {{thermos.ports[http]}} {{nobody}}"}
    assert config.ports == frozenset()
