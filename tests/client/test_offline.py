"""Verbs that read job files and ask nobody: inspect, config list; and quota get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aurorad.api.calls import GetQuota
from aurorad.api.results import GetQuotaResult
from aurorad.api.tasks import Resource, ResourceAggregate
from tests.client.conftest import KEY, Runner
from tests.client.fake_scheduler import FakeScheduler, ok, refused

FULL = """
first = Process(name = 'first', cmdline = 'ls -la\\nls')
second = Process(name = 'second', cmdline = 'true', daemon = True, ephemeral = True, final = True)
third = Process(name = 'third', cmdline = 'true')
jobs = [Job(
    cluster = 'west', role = 'bozo', environment = 'test', name = 'the_job', contact = 'bozo@the.clown', instances = 3,
    cron_schedule = '* * * * *', constraints = {'rack': 'limit:1'}, partition_policy = PartitionPolicy(),
    task = Task(name = 'task', processes = [first, second, third], constraints = order(first, third),
                resources = Resources(cpu = 1, ram = MB, disk = MB)))]
"""


def test_inspect_shows_everything_by_name(aurora: Runner, tmp_path: Path) -> None:
    file = tmp_path / "full.aurora"
    file.write_text(FULL)
    ran = aurora("job", "inspect", "west/bozo/test/the_job", file)
    assert ran.code == 0
    assert (
        ran.out
        == """\
Job level information
  name:       'the_job'
  role:       'bozo'
  contact:    'bozo@the.clown'
  cluster:    'west'
  instances:  '3'
  cron:
    schedule: '* * * * *'
    policy:   'KILL_EXISTING'
  constraints:
    'rack': 'limit:1'
  partition_policy:
    reschedule: True
    delay_secs: '0'
  service:    False
  production: False

Task level information
  name: 'task'
  constraints:
    first < third

Process 'first':
  cmdline:
    ls -la
    ls

Process 'second':
  daemon
  ephemeral
  final
  cmdline:
    true

Process 'third':
  cmdline:
    true

"""
    )


def test_inspect_as_json_can_be_read_back(aurora: Runner, job_file: Path, tmp_path: Path) -> None:
    shown = aurora("job", "inspect", "--write-json", KEY, job_file).out
    assert json.loads(shown)["tier"] == "preemptible"
    copy = tmp_path / "copy.json"
    copy.write_text(shown)
    assert aurora("job", "inspect", "--write-json", "--read-json", KEY, copy).out == shown
    copy.write_text(json.dumps({"jobs": [json.loads(shown)]}))
    assert aurora("job", "inspect", "--write-json", "--read-json", KEY, copy).out == shown


def test_inspect_raw_is_what_would_be_sent(aurora: Runner, job_file: Path) -> None:
    shown = aurora("job", "inspect", "--raw", KEY, job_file).out
    assert shown.startswith("IJobConfiguration{key=IJobKey{role=bozo, environment=test, name=hello}, ")


def test_bindings_are_applied(aurora: Runner, job_file: Path) -> None:
    assert "    echo bye\n" in aurora("job", "inspect", "--bind", "word=bye", KEY, job_file).out


def test_bindings_of_0_5_are_applied_too(aurora: Runner, job_file: Path) -> None:
    assert "    echo bye\n" in aurora("job", "inspect", "-E", "word=bye", KEY, job_file).out


def test_an_older_spelling_is_told_of_on_stderr(aurora: Runner, job_file: Path) -> None:
    job_file.write_text("jobs = [Job(name = 'x', daemon = True)]")
    ran = aurora("config", "list", job_file)
    assert (ran.code, ran.out) == (0, "jobs=[{MISSING}/{MISSING}/{MISSING}/x]\n")
    assert ran.err == f" WARN] {job_file}:1: Job(daemon = ...) is from an older version: write service = ...\n"


def test_config_list_names_the_jobs_of_the_file(aurora: Runner, job_file: Path) -> None:
    assert aurora("config", "list", job_file).out == f"jobs=[{KEY}]\n"
    job_file.write_text("jobs = []")
    assert aurora("config", "list", job_file).out == "jobs=[]\n"
    job_file.write_text("jobs = [Job(name = 'x', role = '{{who}}')]")
    assert aurora("config", "list", "--bind", "who=me", job_file).out == "jobs=[{MISSING}/me/{MISSING}/x]\n"


def test_config_list_of_a_broken_file_is_status_4(aurora: Runner, job_file: Path) -> None:
    job_file.write_text("jobs = [1]")
    ran = aurora("config", "list", job_file)
    assert ran.code == 4
    assert ran.err == (
        f"Error loading configuration file: {job_file}: jobs must be a list of Job objects, and it holds a int\n"
    )


def amounts(cpus: float, ram: int, disk: int) -> ResourceAggregate:
    return ResourceAggregate(frozenset({Resource(num_cpus=cpus), Resource(ram_mb=ram), Resource(disk_mb=disk)}))


def test_quota_is_shown_with_what_is_used_of_it(aurora: Runner, scheduler: FakeScheduler) -> None:
    result = GetQuotaResult(amounts(5.0, 20480, 40960), non_prod_shared_consumption=amounts(0.5, 16, 32))
    scheduler.on(GetQuota, ok(get_quota_result=result))
    assert aurora("quota", "get", "west/bozo").out == (
        "Allocated:\n  CPU: 5.0 core(s)\n  RAM: 20480 MB\n  Disk: 40960 MB\n"
        "Non-production shared pool resources consumed:\n  CPU: 0.5 core(s)\n  RAM: 16 MB\n  Disk: 32 MB\n"
    )
    assert json.loads(aurora("quota", "get", "--write-json", "west/bozo").out) == {
        "quota": {"resources": [{"diskMb": 40960}, {"numCpus": 5.0}, {"ramMb": 20480}]},
        "nonProdSharedConsumption": {"resources": [{"diskMb": 32}, {"numCpus": 0.5}, {"ramMb": 16}]},
    }


def test_a_refused_quota_is_status_10(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetQuota, refused("no"))
    ran = aurora("quota", "get", "west/bozo")
    assert (ran.code, ran.err) == (10, " INFO] Getting quota for: bozo\nError retrieving quota for role bozo\n\tno\n")


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        ("hello_world", ["devel/hello_world"]),
        ("sine_table", ["devel/sine_table"]),
        ("health_service", ["devel/health_service"]),
        ("tailored", ["devel/greeter", "prod/greeter"]),
        ("tutorial/hello_world", ["devel/hello_world"]),
    ],
)
def test_every_example_can_be_inspected(aurora: Runner, file: str, jobs: list[str]) -> None:
    for job in jobs:
        ran = aurora("job", "inspect", f"devcluster/www-data/{job}", EXAMPLES / f"{file}.aurora")
        assert (ran.code, ran.err) == (0, "")
