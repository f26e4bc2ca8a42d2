"""Jobs against hand-written JobConfigurations (config-schema sheet, sections 12, 14 and 15)."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from aurorad.api.enums import CronCollisionPolicy, Mode
from aurorad.api.tasks import (
    AppcImage,
    Constraint,
    Container,
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    DockerContainer,
    DockerImage,
    DockerParameter,
    ExecutorConfig,
    Identity,
    Image,
    JobConfiguration,
    JobKey,
    LimitConstraint,
    MesosContainer,
    Metadata,
    PartitionPolicy,
    PercentageSlaPolicy,
    Resource,
    SlaPolicy,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
    Volume,
)
from aurorad.jobfile import convert
from aurorad.jobfile.errors import ConfigError
from tests.jobfile.evaluating import evaluate, minimal

KEY, ME = JobKey("bozo", "test", "hello"), Identity("me")
RESOURCES = frozenset({Resource(num_cpus=1.0), Resource(ram_mb=2), Resource(disk_mb=3)})


def converted(folder: Path, text: str) -> JobConfiguration:
    return convert.convert(evaluate(folder, text), "me")


def task(folder: Path, more: str = "", **parts: str) -> TaskConfig:
    return converted(folder, minimal(more, **parts)).task_config


def test_a_minimal_job(tmp_path: Path) -> None:
    job = converted(tmp_path, minimal())
    data = job.task_config.executor_config
    assert data is not None
    assert job == JobConfiguration(
        key=KEY,
        owner=ME,
        cron_collision_policy=CronCollisionPolicy.KILL_EXISTING,
        instance_count=1,
        task_config=TaskConfig(
            job=KEY,
            owner=ME,
            max_task_failures=1,
            resources=RESOURCES,
            executor_config=ExecutorConfig("AuroraExecutor", data.data),
            container=Container(mesos=MesosContainer()),
        ),
    )


def test_the_executor_gets_the_whole_job_but_what_only_updates_need(tmp_path: Path) -> None:
    config = task(tmp_path, "instances = 5, update_config = UpdateConfig(batch_size = 3)").executor_config
    assert config is not None
    assert config.data is not None
    data = json.loads(config.data)
    assert data.keys() & {"instances", "update_config"} == set()
    assert data["task"] == {
        "name": "say",
        "finalization_wait": 30,
        "max_failures": 1,
        "max_concurrency": 0,
        "constraints": [],
        "resources": {"cpu": 1.0, "ram": 2 << 20, "disk": 3 << 20, "gpu": 0},
        "processes": [
            {
                "name": "say",
                "cmdline": "echo hello",
                "daemon": False,
                "ephemeral": False,
                "max_failures": 1,
                "min_duration": 5,
                "final": False,
            }
        ],
    }
    assert config == task(tmp_path, "instances = 6").executor_config
    assert data["lifecycle"]["http"]["port"] == "health"
    assert data["executor_config"] == {"name": "AuroraExecutor", "data": ""}


def test_another_executor_gets_its_own_data(tmp_path: Path) -> None:
    config = task(tmp_path, "executor_config = ExecutorConfig(name = 'mine', data = 'as it is')")
    assert config.executor_config == ExecutorConfig("mine", "as it is")


def test_every_other_field_has_its_place(tmp_path: Path) -> None:
    job = converted(
        tmp_path,
        minimal(
            "service = True, priority = 7, max_task_failures = -1, production = True, tier = 'preferred', "
            "contact = 'bozo@the.clown', instances = 4, cron_collision_policy = 'cancel_new', "
            "metadata = [Metadata(key = 'k', value = 'v')], "
            "partition_policy = PartitionPolicy(reschedule = False, delay_secs = 9)"
        ),
    )
    plain = converted(tmp_path, minimal())
    assert job.instance_count == 4
    assert job.cron_collision_policy is CronCollisionPolicy.CANCEL_NEW
    assert job.task_config == msgspec.structs.replace(
        plain.task_config,
        is_service=True,
        priority=7,
        max_task_failures=-1,
        production=True,
        tier="preferred",
        contact_email="bozo@the.clown",
        metadata=frozenset({Metadata("k", "v")}),
        partition_policy=PartitionPolicy(False, 9),
        executor_config=job.task_config.executor_config,
    )


def test_a_cron_job_has_its_schedule(tmp_path: Path) -> None:
    assert converted(tmp_path, minimal("cron_schedule = '*/5 * * * *'")).cron_schedule == "*/5 * * * *"


def test_ports_and_gpus_are_resources(tmp_path: Path) -> None:
    text = minimal(
        "announce = Announcer(primary_port = 'http', portmap = {'aurora': 'http', 'admin': '8080'})",
        processes="Process(name = 'x', cmdline = 'x {{thermos.ports[admin]}} {{thermos.ports[health]}}')",
    ).replace("cpu = 1", "gpu = 2, cpu = 1")
    ports = {Resource(named_port="http"), Resource(named_port="health")}
    assert converted(tmp_path, text).task_config.resources == RESOURCES | ports | {Resource(num_gpus=2)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("limit:3", TaskConstraint(limit=LimitConstraint(3))),
        ("a,b", TaskConstraint(value=ValueConstraint(False, frozenset("ab")))),
        ("!a,b", TaskConstraint(value=ValueConstraint(True, frozenset("ab")))),
        ("bozo/web", TaskConstraint(value=ValueConstraint(False, frozenset({"bozo/web"})))),
    ],
)
def test_constraints(tmp_path: Path, text: str, expected: TaskConstraint) -> None:
    constraints = task(tmp_path, f"constraints = {{'rack': '{text}'}}").constraints
    assert constraints == {Constraint("rack", expected)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Docker(image = 'i')", Container(docker=DockerContainer("i"))),
        (
            "Container(docker = Docker(image = 'i', parameters = [Parameter(name = 'n', value = 'v')]))",
            Container(docker=DockerContainer("i", (DockerParameter("n", "v"),))),
        ),
        ("Mesos()", Container(mesos=MesosContainer())),
        (
            "Mesos(image = DockerImage(name = 'n', tag = 't'), "
            "volumes = [Volume(container_path = '/c', host_path = '/h', mode = 'RO')])",
            Container(mesos=MesosContainer(Image(docker=DockerImage("n", "t")), (Volume("/c", "/h", Mode.RO),))),
        ),
        (
            "Mesos(image = AppcImage(name = 'n', image_id = 'x'))",
            Container(mesos=MesosContainer(Image(appc=AppcImage("n", "x")))),
        ),
    ],
)
def test_containers(tmp_path: Path, text: str, expected: Container) -> None:
    assert task(tmp_path, f"container = {text}").container == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "PercentageSlaPolicy(percentage = 95, duration_secs = 3)",
            SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(95.0, 3)),
        ),
        ("CountSlaPolicy(count = 2, duration_secs = 3)", SlaPolicy(count_sla_policy=CountSlaPolicy(2, 3))),
        (
            "CoordinatorSlaPolicy(coordinator_url = 'http://x')",
            SlaPolicy(coordinator_sla_policy=CoordinatorSlaPolicy("http://x", "drain")),
        ),
    ],
)
def test_sla_policies(tmp_path: Path, text: str, expected: SlaPolicy) -> None:
    assert task(tmp_path, f"sla_policy = {text}").sla_policy == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (minimal().replace("'bozo'", "'bo zo'"), "Invalid role 'bo zo'"),
        (minimal().replace("'test'", "'te/st'"), "Invalid environment 'te/st'"),
        (minimal("cron_collision_policy = 'NEVER'"), "Invalid CronCollisionPolicy type: NEVER"),
        (minimal("constraints = {'host': 'limit:x'}"), "limit:x is not a valid limit value, must be integer"),
        (
            minimal("constraints = {'host': 'limit:2147483648'}"),
            "limit:2147483648 is not a valid limit value, must be at most 2147483647",
        ),
        (minimal("container = Container()"), "If a container is specified it must set one type."),
        (minimal().replace("ram = 2 * MB", "ram = 0"), "Must specify ram and disk resources, got ram:0 disk:3145728"),
        (
            minimal().replace("ram = 2 * MB", "ram = 2 * KB"),
            "Task has invalid resources.  cpu/ramMb/diskMb must all be positive: cpu:1 ramMb:0 diskMb:3",
        ),
        (
            "jobs = [Job(cluster = 'c', role = 'r', environment = 'test', "
            "task = Task(processes = [Process(name = 'x', cmdline = 'x')]))]",
            "Task must specify resources!",
        ),
    ],
)
def test_what_cannot_be_converted_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        converted(tmp_path, text)
    assert str(caught.value) == message
