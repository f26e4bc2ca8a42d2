"""The order of the rules of the config-validation sheet, sections 2-4."""

from __future__ import annotations

from typing import Any

import pytest

from aurorad.api.tasks import (
    Container,
    ExecutorConfig,
    Identity,
    JobConfiguration,
    JobKey,
    MesosContainer,
    MesosFetcherURI,
    Resource,
    TaskConfig,
    Volume,
)
from aurorad.rules.admission import AdmissionError, populate
from aurorad.rules.tiers import BUILT_IN
from tests.rules.test_admission import DEFAULTS, PARAMETERS, count, dedicated, docker, key, percentage
from tests.rules.values import RESOURCES, but

# From a job that breaks every rule: what is said, and what is mended then, of the job and of its task.
IN_ORDER: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("Instance count must be positive.", {"instance_count": 20}, {}),
    ("Job key IJobKey{role=a b, environment=qa, name=x} is invalid.", {"key": JobKey("web", "qa", "x")}, {}),
    (r"Job environment qa doesn't match: ^(prod|devel|test|staging\d*)$", {"key": key("x")}, {}),
    ("Job user contains illegal characters: a b", {"owner": None}, {}),
    ("Tier contains illegal characters: a b", {}, {"tier": "gold"}),
    ("Invalid tier 'gold' in TaskConfig.", {}, {"tier": "preemptible"}),
    ("Job key IJobKey{role=a b, environment=qa, name=x} is invalid.", {}, {"job": key("x")}),
    ("Executor name may not be left unset.", {}, {"executor_config": ExecutorConfig("Other")}),
    ("Configuration for executor 'Other' doesn't exist.", {}, {"executor_config": None}),
    ("A dedicated constraint must have exactly one value", {}, {"constraints": dedicated("ads/x")}),
    ("Only ads may use hosts dedicated for that role.", {}, {"constraints": frozenset()}),
    ("A container must specify an image.", {}, {"container": docker(parameters=PARAMETERS)}),
    ("This scheduler is configured to disallow Docker parameters.", {}, {"container": docker()}),
    (
        "This scheduler is configured to require an executor for Docker-based tasks.",
        {},
        {"executor_config": ExecutorConfig("AuroraExecutor")},
    ),
    (
        "This scheduler is not configured to allow the container type DOCKER",
        {},
        {"container": Container(mesos=MesosContainer(volumes=(Volume("/a", "/b"),)))},
    ),
    (
        "Multiple resource values are not supported for GPU, RAM",
        {},
        {"resources": frozenset({Resource(num_gpus=1)})},
    ),
    ("num_cpus must be greater than 0.0", {}, {"resources": frozenset({Resource(num_gpus=1), Resource(num_cpus=1.0)})}),
    (
        "ram_mb must be greater than 0.0",
        {},
        {"resources": frozenset({Resource(num_gpus=1), Resource(num_cpus=1.0), Resource(ram_mb=1)})},
    ),
    ("disk_mb must be greater than 0.0", {}, {"resources": RESOURCES | {Resource(num_gpus=1)}}),
    ("GPU resource support is disabled in this cluster.", {}, {"resources": RESOURCES}),
    ("Mesos Fetcher for individual jobs is disabled in this cluster.", {}, {"mesos_fetcher_uris": frozenset()}),
    ("This scheduler is configured to disallow container volumes.", {}, {"container": Container()}),
    ("Tier 'preemptible' does not support SlaPolicy.", {"instance_count": 19}, {"tier": "preferred"}),
    ("Job with fewer than 20 instances cannot have Percentage/Count SlaPolicy.", {"instance_count": 20}, {}),
    (
        "Current CountSlaPolicy: count=20 will not allow any instances to be killed. "
        "Must be less than instanceCount=20.",
        {},
        {"sla_policy": count(19, 7201)},
    ),
    (
        "CountSlaPolicy: durationSecs=7201 must be less than cluster-wide maximum of 7200 secs.",
        {},
        {"sla_policy": percentage(96.0, 7201)},
    ),
    (
        "Current PercentageSlaPolicy: percentage=96.000000 will not allow any instances to be killed. "
        "Must be less than 95.000000.",
        {},
        {"sla_policy": percentage(95.0, 7201)},
    ),
    (
        "PercentageSlaPolicy: durationSecs=7201 must be less than cluster-wide maximum of 7200 secs.",
        {},
        {"sla_policy": None},
    ),
]


def test_the_first_rule_that_is_broken_wins() -> None:
    bad = JobKey("a b", "qa", "x")
    broken = JobConfiguration(
        key=bad,
        owner=Identity("a b"),
        cron_schedule="* * * * *",
        task_config=TaskConfig(
            job=bad,
            tier="a b",
            is_service=True,
            executor_config=ExecutorConfig(),
            constraints=dedicated(),
            container=docker(None, PARAMETERS),
            resources=frozenset({Resource(num_gpus=1), Resource(num_gpus=2), Resource(ram_mb=1), Resource(ram_mb=2)}),
            mesos_fetcher_uris=frozenset({MesosFetcherURI("http://x/")}),
            sla_policy=count(20, 7201),
        ),
    )
    for text, of_job, of_task in IN_ORDER:
        with pytest.raises(AdmissionError) as refused:
            populate(broken, DEFAULTS, BUILT_IN)
        assert str(refused.value) == text
        broken = but(broken, **of_job, task_config=but(broken.task_config, **of_task))
    with pytest.raises(AdmissionError, match=r"^A service task may not be run on a cron schedule: JobConfiguration\("):
        populate(broken, DEFAULTS, BUILT_IN)
    populate(but(broken, cron_schedule=None), DEFAULTS, BUILT_IN)
