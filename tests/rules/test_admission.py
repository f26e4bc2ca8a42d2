"""Every rule of the config-validation sheet, sections 2-5, in its order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from frozendict import frozendict
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import ResponseCode
from aurorad.api.tasks import (
    Constraint,
    Container,
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    DockerContainer,
    DockerParameter,
    ExecutorConfig,
    Identity,
    JobConfiguration,
    JobKey,
    LimitConstraint,
    MesosContainer,
    MesosFetcherURI,
    PercentageSlaPolicy,
    Resource,
    SlaPolicy,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
    Volume,
)
from aurorad.rules.admission import (
    AdmissionError,
    AdmissionLimits,
    check_instance_count,
    is_dedicated,
    populate,
    populate_task,
)
from aurorad.rules.tiers import BUILT_IN
from tests.rules.values import DEDICATED, JOB, RESOURCES, TASK, but, job, task

DEFAULTS = AdmissionLimits()
LOOSE = AdmissionLimits(
    allowed_job_environments=re.compile(r"^(prod|lab\d)$"),
    max_tasks_per_job=5,
    allowed_container_types=frozenset({"MESOS", "DOCKER"}),
    allow_docker_parameters=True,
    require_docker_use_executor=False,
    enable_mesos_fetcher=True,
    allow_container_volumes=True,
    allow_gpu_resource=True,
    min_required_instances_for_sla_check=3,
    max_sla_duration_secs=60,
    sla_aware_kill_non_prod=True,
)
PARAMETERS = (DockerParameter("label", "a"),)


def key(name: str) -> JobKey:
    return JobKey("web", "prod", name)


def docker(image: str | None = "img", parameters: tuple[DockerParameter, ...] = ()) -> Container:
    return Container(docker=DockerContainer(image, parameters))


def dedicated(*values: str, negated: bool = False) -> frozenset[Constraint]:
    return frozenset({Constraint("dedicated", TaskConstraint(value=ValueConstraint(negated, frozenset(values))))})


def percentage(percent: float, duration_secs: int = 60) -> SlaPolicy:
    return SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(percent, duration_secs))


def count(number: int, duration_secs: int = 60) -> SlaPolicy:
    return SlaPolicy(count_sla_policy=CountSlaPolicy(number, duration_secs))


COORDINATOR = SlaPolicy(coordinator_sla_policy=CoordinatorSlaPolicy("http://c/", "k"))

REFUSED: list[tuple[str, JobConfiguration, AdmissionLimits, str]] = [
    ("J1", but(JOB, task_config=TaskConfig()), DEFAULTS, "Job configuration must have taskConfig set."),
    ("J2", but(JOB, instance_count=0), DEFAULTS, "Instance count must be positive."),
    ("J2", but(JOB, instance_count=-1), DEFAULTS, "Instance count must be positive."),
    ("J3", but(JOB, key=JobKey()), DEFAULTS, "Job key null is invalid."),
    *(
        (
            "J3",
            but(JOB, key=key(name)),
            DEFAULTS,
            f"Job key IJobKey{{role=web, environment=prod, name={name}}} is invalid.",
        )
        for name in ("na me", "", "abc\n", "näme", "n" * 256)
    ),
    (
        "names of files",
        but(JOB, key=key("n" * 194)),
        DEFAULTS,
        f"Job key web/prod/{'n' * 194} is too long: role, environment and name may have 200 characters together, since "
        "task ids become names of files.",
    ),
    (
        "J4",
        but(JOB, key=JobKey("web", "qa", "x")),
        DEFAULTS,
        r"Job environment qa doesn't match: ^(prod|devel|test|staging\d*)$",
    ),
    ("J4", but(JOB, key=JobKey("web", "test", "x")), LOOSE, r"Job environment test doesn't match: ^(prod|lab\d)$"),
    ("J5", but(JOB, owner=Identity("a b")), DEFAULTS, "Job user contains illegal characters: a b"),
    ("J5", but(JOB, owner=Identity("")), DEFAULTS, "Job user contains illegal characters: "),
    ("J5", but(JOB, owner=Identity()), DEFAULTS, "Job user contains illegal characters: null"),
    ("T1", job(tier="go ld"), DEFAULTS, "Tier contains illegal characters: go ld"),
    ("T1", job(tier=""), DEFAULTS, "Tier contains illegal characters: "),
    ("T3", job(tier="gold"), DEFAULTS, "Invalid tier 'gold' in TaskConfig."),
    ("T4", job(job=JobKey()), DEFAULTS, "Job key null is invalid."),
    ("T4", job(job=key("b d")), DEFAULTS, "Job key IJobKey{role=web, environment=prod, name=b d} is invalid."),
    ("T5", job(executor_config=None), DEFAULTS, "Configuration may not be null."),
    ("T6", job(executor_config=ExecutorConfig(data="x")), DEFAULTS, "Executor name may not be left unset."),
    ("T7", job(executor_config=ExecutorConfig("")), DEFAULTS, "Configuration for executor '' doesn't exist."),
    ("T7", job(executor_config=ExecutorConfig("Other")), DEFAULTS, "Configuration for executor 'Other' doesn't exist."),
    (
        "T8",
        job(constraints=frozenset({Constraint("dedicated", TaskConstraint(limit=LimitConstraint(1)))})),
        DEFAULTS,
        "A dedicated constraint must be of value type.",
    ),
    (
        "T8",
        job(constraints=frozenset({Constraint("dedicated")})),
        DEFAULTS,
        "A dedicated constraint must be of value type.",
    ),
    ("T9", job(constraints=dedicated("a/b", "c/d")), DEFAULTS, "A dedicated constraint must have exactly one value"),
    ("T9", job(constraints=dedicated()), DEFAULTS, "A dedicated constraint must have exactly one value"),
    (
        "T10",
        job(constraints=dedicated("other/x")),
        DEFAULTS,
        "Only other may use hosts dedicated for that role.",
    ),
    (
        "T10",
        job(constraints=dedicated("other/x", negated=True)),
        DEFAULTS,
        "Only other may use hosts dedicated for that role.",
    ),
    (
        "T10, every one of them",
        job(constraints=dedicated("web/x") | dedicated("other/x")),
        DEFAULTS,
        "Only other may use hosts dedicated for that role.",
    ),
    ("T11", job(container=docker(None)), LOOSE, "A container must specify an image."),
    (
        "T13",
        job(container=docker(parameters=PARAMETERS)),
        but(LOOSE, allow_docker_parameters=False),
        "This scheduler is configured to disallow Docker parameters.",
    ),
    (
        "T14 before T15",
        job(container=docker(), executor_config=None),
        DEFAULTS,
        "This scheduler is configured to require an executor for Docker-based tasks.",
    ),
    (
        "T15",
        job(container=docker()),
        DEFAULTS,
        "This scheduler is not configured to allow the container type DOCKER",
    ),
    (
        "T15",
        job(),
        AdmissionLimits(allowed_container_types=frozenset({"DOCKER"})),
        "This scheduler is not configured to allow the container type MESOS",
    ),
    (
        "T16",
        job(resources=RESOURCES | {Resource(num_cpus=1.0), Resource(disk_mb=1), Resource(ram_mb=1)}),
        DEFAULTS,
        "Multiple resource values are not supported for CPU, RAM, disk",
    ),
    (
        "T16",
        job(resources=RESOURCES | {Resource(num_gpus=1), Resource(num_gpus=2)}),
        DEFAULTS,
        "Multiple resource values are not supported for GPU",
    ),
    ("T17", job(resources=frozenset()), DEFAULTS, "num_cpus must be greater than 0.0"),
    *(
        ("T17", job(resources=frozenset({Resource(num_cpus=cpus)})), DEFAULTS, "num_cpus must be greater than 0.0")
        for cpus in (0.0, -1.0, float("nan"), float("inf"))
    ),
    ("T18", job(resources=frozenset({Resource(num_cpus=1.0)})), DEFAULTS, "ram_mb must be greater than 0.0"),
    (
        "T19",
        job(resources=frozenset({Resource(num_cpus=1.0), Resource(ram_mb=1), Resource(disk_mb=0)})),
        DEFAULTS,
        "disk_mb must be greater than 0.0",
    ),
    *(
        (
            "so much that sums of it do not fit into an answer",
            job(resources=frozenset({much, *rest})),
            DEFAULTS,
            f"{name} must be at most 1099511627776",
        )
        for name, much, rest in (
            ("num_cpus", Resource(num_cpus=1e308), (Resource(ram_mb=1), Resource(disk_mb=1))),
            ("ram_mb", Resource(ram_mb=2**63 - 1), (Resource(num_cpus=1.0), Resource(disk_mb=1))),
            ("disk_mb", Resource(disk_mb=2**40 + 1), (Resource(num_cpus=1.0), Resource(ram_mb=1))),
        )
    ),
    (
        "T20",
        job(resources=RESOURCES | {Resource(num_gpus=0)}),
        DEFAULTS,
        "GPU resource support is disabled in this cluster.",
    ),
    (
        "T21",
        job(mesos_fetcher_uris=frozenset({MesosFetcherURI("http://x/")})),
        DEFAULTS,
        "Mesos Fetcher for individual jobs is disabled in this cluster.",
    ),
    (
        "T22",
        job(container=Container(mesos=MesosContainer(volumes=(Volume("/a", "/b"),)))),
        DEFAULTS,
        "This scheduler is configured to disallow container volumes.",
    ),
    ("S1", job(20, sla_policy=percentage(95.0)), DEFAULTS, "Tier 'preemptible' does not support SlaPolicy."),
    ("S1", job(tier="revocable", sla_policy=COORDINATOR), DEFAULTS, "Tier 'revocable' does not support SlaPolicy."),
    (
        "S2",
        job(19, tier="preferred", sla_policy=percentage(50.0)),
        DEFAULTS,
        "Job with fewer than 20 instances cannot have Percentage/Count SlaPolicy.",
    ),
    (
        "S2",
        job(2, sla_policy=count(1)),
        LOOSE,
        "Job with fewer than 3 instances cannot have Percentage/Count SlaPolicy.",
    ),
    (
        "S3",
        job(20, tier="preferred", sla_policy=count(20)),
        DEFAULTS,
        "Current CountSlaPolicy: count=20 will not allow any instances to be killed. "
        "Must be less than instanceCount=20.",
    ),
    (
        "S4",
        job(20, tier="preferred", sla_policy=count(1, 9000)),
        DEFAULTS,
        "CountSlaPolicy: durationSecs=9000 must be less than cluster-wide maximum of 7200 secs.",
    ),
    (
        "S5",
        job(20, tier="preferred", sla_policy=percentage(96.0)),
        DEFAULTS,
        "Current PercentageSlaPolicy: percentage=96.000000 will not allow any instances to be killed. "
        "Must be less than 95.000000.",
    ),
    (
        "S6",
        job(3, sla_policy=percentage(60.0, 61)),
        LOOSE,
        "PercentageSlaPolicy: durationSecs=61 must be less than cluster-wide maximum of 60 secs.",
    ),
]


@pytest.mark.parametrize(("given_job", "limits", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_breaks_a_rule_is_refused_with_its_text(
    given_job: JobConfiguration, limits: AdmissionLimits, text: str
) -> None:
    with pytest.raises(AdmissionError) as refused:
        populate(given_job, limits, BUILT_IN)
    assert str(refused.value) == text
    assert refused.value.code is ResponseCode.INVALID_REQUEST


ADMITTED: list[tuple[str, JobConfiguration, AdmissionLimits]] = [
    ("plain", JOB, DEFAULTS),
    ("a name with dots, dashes and underscores", but(JOB, key=key("a.b-c_D9")), DEFAULTS),
    ("the longest name", but(JOB, key=key("n" * 193)), DEFAULTS),
    ("no owner", but(JOB, owner=None), DEFAULTS),
    ("an environment with a number", but(JOB, key=JobKey("web", "staging7", "x")), DEFAULTS),
    ("more instances than any job may have", job(99_999), DEFAULTS),
    ("executor without data", job(executor_config=ExecutorConfig("AuroraExecutor")), DEFAULTS),
    ("own role's hosts", job(constraints=dedicated("web/x")), DEFAULTS),
    ("own role's hosts, no slash", job(constraints=dedicated("web")), DEFAULTS),
    ("anybody's hosts", job(constraints=dedicated("*/x")), DEFAULTS),
    ("a constraint of no kind", job(constraints=frozenset({Constraint("rack")})), DEFAULTS),
    (
        "a negative limit",
        job(constraints=frozenset({Constraint("r", TaskConstraint(limit=LimitConstraint(-1)))})),
        DEFAULTS,
    ),
    ("ports", job(resources=RESOURCES | {Resource(named_port="a"), Resource(named_port="b")}), DEFAULTS),
    ("an image of no name", job(container=docker("", PARAMETERS)), LOOSE),
    ("docker without an executor", job(container=docker(), executor_config=None), LOOSE),
    ("a GPU", job(resources=RESOURCES | {Resource(num_gpus=1)}), LOOSE),
    ("volumes", job(container=Container(mesos=MesosContainer(volumes=(Volume("/a", "/b"),)))), LOOSE),
    ("fetched files", job(mesos_fetcher_uris=frozenset({MesosFetcherURI("http://x/")})), LOOSE),
    ("19 of 20 always up", job(20, tier="preferred", sla_policy=percentage(95.0, 7200)), DEFAULTS),
    ("a negative percentage", job(20, tier="preferred", sla_policy=percentage(-1.0, -1)), DEFAULTS),
    ("a count of 19", job(20, tier="preferred", sla_policy=count(19)), DEFAULTS),
    ("a coordinator for one instance", job(tier="preferred", sla_policy=COORDINATOR), DEFAULTS),
    ("a policy below production", job(4, tier="revocable", sla_policy=count(1)), LOOSE),
]


@pytest.mark.parametrize(("given_job", "limits"), [row[1:] for row in ADMITTED], ids=[row[0] for row in ADMITTED])
def test_what_breaks_no_rule_comes_back_as_it_was(given_job: JobConfiguration, limits: AdmissionLimits) -> None:
    admitted = populate(given_job, limits, BUILT_IN)
    production = given_job.task_config.tier == "preferred"
    assert admitted == but(given_job, task_config=but(given_job.task_config, production=production))


@pytest.mark.parametrize(
    ("asked", "tier", "production"), [(None, "preemptible", False), ("preferred", "preferred", True)]
)
@pytest.mark.parametrize("claimed", [True, False])
def test_production_follows_from_the_tier_whatever_the_sender_says(
    asked: str | None, tier: str, production: bool, claimed: bool
) -> None:
    admitted = populate_task(task(tier=asked, production=claimed), 1, DEFAULTS, BUILT_IN)
    assert (admitted.tier, admitted.production) == (tier, production)


def test_docker_parameters_default_to_the_flag_only_where_none_are_given() -> None:
    limits = but(LOOSE, default_docker_parameters=PARAMETERS)
    own = (DockerParameter("mine", "b"),)
    for given_parameters, expected in (((), PARAMETERS), (own, own)):
        admitted = populate_task(task(container=docker(parameters=given_parameters)), 1, limits, BUILT_IN)
        assert admitted.container == docker(parameters=expected)


def test_a_container_of_no_kind_is_a_mesos_container() -> None:
    assert populate_task(task(container=Container()), 1, DEFAULTS, BUILT_IN).container == Container(
        mesos=MesosContainer()
    )


def test_links_are_made_for_the_ports_health_and_http_unless_some_are_given() -> None:
    ports = RESOURCES | {Resource(named_port=name) for name in ("health", "http", "admin")}
    admitted = populate_task(task(resources=ports), 1, DEFAULTS, BUILT_IN)
    assert admitted.task_links == {
        "health": "http://%host%:%port:health%",
        "http": "http://%host%:%port:http%",
    }
    own = frozendict({"docs": "http://docs/"})
    assert populate_task(task(resources=ports, task_links=own), 1, DEFAULTS, BUILT_IN).task_links == own
    assert populate_task(TASK, 1, DEFAULTS, BUILT_IN).task_links == {}


def test_a_service_may_not_be_a_cron_job_but_an_empty_schedule_is_none() -> None:
    with pytest.raises(AdmissionError) as refused:
        populate(but(JOB, cron_schedule="* * * * *"), DEFAULTS, BUILT_IN)
    assert str(refused.value).startswith(
        "A service task may not be run on a cron schedule: "
        "JobConfiguration(key:JobKey(role:web, environment:prod, name:site), owner:Identity(user:alice), "
        "cronSchedule:* * * * *, cronCollisionPolicy:null, taskConfig:TaskConfig("
    )
    populate(but(JOB, cron_schedule=""), DEFAULTS, BUILT_IN)
    populate(but(job(is_service=False), cron_schedule="* * * * *"), DEFAULTS, BUILT_IN)


def test_a_constraint_without_a_name_is_an_error() -> None:
    with pytest.raises(AdmissionError) as refused:
        populate(job(constraints=frozenset({Constraint()})), DEFAULTS, BUILT_IN)
    assert refused.value.code is ResponseCode.ERROR


def test_the_environment_of_a_task_alone_is_not_checked() -> None:
    assert populate_task(task(job=JobKey("web", "qa", "x")), 1, DEFAULTS, BUILT_IN).job.environment == "qa"


@pytest.mark.parametrize("bad", [0, -1, 6])
def test_a_job_has_at_least_one_instance_and_no_more_than_the_flag_says(bad: int) -> None:
    check_instance_count(1, LOOSE)
    check_instance_count(5, LOOSE)
    with pytest.raises(AdmissionError, match=r"^Instance count must be between 1 and 5 inclusive\.$"):
        check_instance_count(bad, LOOSE)


def test_dedicated_is_what_has_a_constraint_of_that_name() -> None:
    assert is_dedicated(task(constraints=frozenset({DEDICATED})))
    assert not is_dedicated(task(constraints=frozenset({Constraint("rack")})))


configs: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "tier": st.sampled_from([None, "preferred", "revocable", "gold"]),
        "production": st.booleans(),
        "resources": st.frozensets(
            st.sampled_from(
                [Resource(num_cpus=1.0), Resource(ram_mb=1), Resource(disk_mb=1), Resource(named_port="http")]
            )
        ),
        "constraints": st.sampled_from([frozenset(), dedicated("web"), dedicated("*"), dedicated("ads/x")]),
        "container": st.sampled_from([Container(), docker(), docker("")]),
    },
)


@given(configs, st.integers(-1, 3))
def test_what_is_let_in_once_is_let_in_again_unchanged(changes: dict[str, Any], instances: int) -> None:
    try:
        admitted = populate(job(instances, **changes), LOOSE, BUILT_IN)
    except AdmissionError:
        return
    assert populate(admitted, LOOSE, BUILT_IN) == admitted
