"""Statistics as Prometheus reads them, judged by Prometheus' own parser."""

from __future__ import annotations

import pytest
from prometheus_client import parser

from aurorad.vars import Value, Vars
from aurorad.web.admin import admin_endpoints
from aurorad.web.app import scheduler_app
from aurorad.web.exposition import RULES, exposition

Labels = tuple[tuple[str, str], ...]


def parsed(values: dict[str, Value], *counters: str) -> dict[tuple[str, Labels], float]:
    """Samples by name and labels; every metric once, and no sample twice."""
    families = list(parser.text_string_to_metric_families(exposition(values, lambda name: name in counters)))
    assert len({family.name for family in families}) == len(families)
    found = [
        ((sample.name, tuple(sorted(sample.labels.items()))), sample.value)
        for family in families
        for sample in family.samples
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


@pytest.mark.parametrize(
    ("name", "metric", "labels"),
    [
        ("task_store_RUNNING", "tasks", {"status": "RUNNING"}),
        ("outstanding_offers", "outstanding_offers", {}),
        (
            "sla_ops/prod/web_job_uptime_99.00_sec",
            "sla_job_uptime_seconds",
            {"job": "ops/prod/web", "percent": "99.00"},
        ),
        (
            "sla_my_role/prod/web_job_uptime_50.00_sec_nonprod",
            "sla_job_uptime_seconds_nonprod",
            {"job": "my_role/prod/web", "percent": "50.00"},
        ),
        (
            "sla_my_role/prod/web_api_platform_uptime_percent",
            "sla_job_platform_uptime_percent",
            {"job": "my_role/prod/web_api"},
        ),
        ("sla_ops/prod/web_mtta_ms_nonprod", "sla_job_mtta_ms_nonprod", {"job": "ops/prod/web"}),
        ("sla_cluster_mtta_ms", "sla_cluster_mtta_ms", {}),
        ("scheduler_log_native_lag_10.0.0.1_8083", "log_member_lag", {"member": "10.0.0.1_8083"}),
        ("sla_cpu_xlarge_mttr_ms_nonprod", "sla_cpu_mttr_ms_nonprod", {"size": "xlarge"}),
        ("quota_per_role_my_role_ram_mb", "role_quota", {"role": "my_role", "resource": "ram_mb"}),
        (
            "resources_per_role_total_consumed_a_b_cpu_cores",
            "role_resources_total_consumed",
            {"role": "a_b", "resource": "cpu_cores"},
        ),
        ("resources_free_pool_consumed_disk_mb", "resources_free_pool_consumed", {"resource": "disk_mb"}),
        ("empty_slots_dedicated_revocable_small", "empty_slots_dedicated_revocable_by_size", {"size": "small"}),
        (
            "scheduler_lifecycle_LEADER_AWAITING_REGISTRATION",
            "lifecycle_state",
            {"state": "LEADER_AWAITING_REGISTRATION"},
        ),
        ("maintenance_countdown_ms_ops/prod/web/3", "maintenance_countdown_ms", {"instance": "ops/prod/web/3"}),
    ],
)
def test_what_a_name_says_becomes_labels(name: str, metric: str, labels: dict[str, str]) -> None:
    assert parsed({name: 7}) == {(f"aurora_{metric}", tuple(sorted(labels.items()))): 7}


@pytest.mark.parametrize(
    ("name", "metric", "labels"),
    [
        ("tasks_LOST_ops/prod/web", "job_tasks_ended", {"status": "LOST", "job": "ops/prod/web"}),
        ("tasks_lost_rack_r.1", "rack_tasks_lost", {"rack": "r.1"}),
        ("scheduler_thrift_response_OK", "api_responses", {"code": "OK"}),
        ("updates_sla_kill_attempt_ops/prod/web", "updates_sla_kill_attempt", {"job": "ops/prod/web"}),
        ("update_transition_ROLLED_BACK", "update_transitions", {"status": "ROLLED_BACK"}),
        ("preemptor_tasks_preempted_non_prod", "preemptor_tasks_preempted", {"whom": "non_prod"}),
        ("timed_out_tasks", "timed_out_tasks", {}),
    ],
)
def test_what_only_grows_is_a_total(name: str, metric: str, labels: dict[str, str]) -> None:
    assert parsed({name: 7}, name) == {(f"aurora_{metric}_total", tuple(sorted(labels.items()))): 7}


def test_what_is_timed_is_a_summary_in_seconds_without_rates() -> None:
    stats = Vars()
    stats.observe("scheduler_thrift_getJobs", 0.25)
    stats.observe("scheduler_thrift_getJobs", 0.5)
    stats.slide("task_throttle", "ms", 1500)
    assert parsed(dict(stats.snapshot())) == {
        ("aurora_api_call_seconds_count", (("method", "getJobs"),)): 2,
        ("aurora_api_call_seconds_sum", (("method", "getJobs"),)): 0.75,
        ("aurora_task_throttle_seconds_count", ()): 1,
        ("aurora_task_throttle_seconds_sum", ()): 1.5,
    }


def test_texts_and_odd_values_do_no_harm() -> None:
    values: dict[str, Value] = {"build.version": 'a"b\\c\nd', "one": float("nan"), "two": float("inf"), "three": 1e300}
    found = parsed({**values, "x-y": 1, "x.y": 2, "sla_coordinator_errors_c/r/e/j/0": 3})
    assert found["aurora_build_version_info", (("value", 'a"b\\c\nd'),)] == 1
    assert found["aurora_two", ()] == float("inf")
    assert found["aurora_three", ()] == 1e300
    assert found["aurora_x_y", ()] == 1
    assert found["aurora_sla_coordinator_task_errors", (("instance", "c/r/e/j/0"),)] == 3


def test_every_metric_is_explained() -> None:
    assert all(rule.help.endswith(".") for rule in RULES)


async def test_it_is_served_with_its_type() -> None:
    stats = Vars()
    stats.count("tasks_pruned")
    answer = await scheduler_app(stats, admin_endpoints(stats, lambda: None)).test_client().get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    text = await answer.get_data(as_text=True)
    assert "# TYPE aurora_tasks_pruned_total counter\naurora_tasks_pruned_total 1\n" in text
    assert list(parser.text_string_to_metric_families(text))
