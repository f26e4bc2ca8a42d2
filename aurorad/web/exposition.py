"""Statistics in the form that Prometheus reads, version 0.0.4 of its text format.

The names of ``/vars`` carry roles, jobs, methods and states in them; here these are labels. What is timed becomes a
summary in seconds, and what Prometheus computes itself, rates and quotients, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from aurorad.vars import Value

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_JOB = r"(?P<job>[\w.\-]+/[\w.\-]+/[\w.\-]+)"
_INSTANCE = r"(?P<instance>[\w.\-]+(?:/[\w.\-]+)+)"
_RESOURCE = r"(?P<resource>cpu_cores|ram_mb|disk_mb)"
_SIZES = "small|medium|large|xlarge|xxlarge"


class Rule(NamedTuple):
    """How a statistic becomes a metric: groups of the pattern become labels, those whose name begins with ``_`` a part
    of the metric's name, which is a template."""

    pattern: re.Pattern[str]
    name: str
    help: str


def _rule(pattern: str, name: str, help_: str) -> Rule:
    return Rule(re.compile(pattern), name, help_)


RULES = (
    _rule(r"task_store_(?P<status>[A-Z]+)", "tasks", "Tasks that are stored, by status."),
    _rule(rf"tasks_(?P<status>LOST|FAILED)_{_JOB}", "job_tasks_ended", "Tasks of a job that were lost or failed."),
    _rule(r"tasks_lost_rack_(?P<rack>.+)", "rack_tasks_lost", "Tasks that were lost, by rack."),
    _rule(r"tasks_lost_dedicated_(?P<dedicated>.+)", "dedicated_tasks_lost", "Tasks lost on dedicated hosts."),
    _rule(r"task_lost_(?P<source>SOURCE_\w+)", "tasks_lost", "Tasks that were lost, by who said so."),
    _rule(r"task_exit_(?P<reason>REASON_\w+)", "task_exits", "Ended tasks, by reason."),
    _rule(r"scheduler_lifecycle_(?P<state>[A-Z_]+)", "lifecycle_state", "1 for the state that the scheduler is in."),
    _rule(r"zk_connection_state_(?P<state>[A-Z_]+)_counter", "zookeeper_state_changes", "Entries into a state."),
    _rule(r"zk_connection_state_(?P<state>[A-Z_]+)", "zookeeper_state", "1 for the state of the connection."),
    _rule(r"scheduler_thrift_response_(?P<code>[A-Z_]+)", "api_responses", "Answers of the API, by response code."),
    _rule(r"scheduler_thrift_workload_(?P<method>\w+)", "api_items_returned", "Items in answers, by method."),
    _rule(r"thrift_workload_(?P<method>\w+)", "api_items_changed", "Instances, hosts or tasks that calls changed."),
    _rule(r"scheduler_thrift_(?P<method>\w+)", "api_call", "Time that calls of the API took, by method."),
    _rule(r"http_(?P<status>\d+)_responses", "http_responses", "Time that HTTP requests took, by status."),
    _rule(
        r"scheduler_log_native_lag_(?P<member>.+)", "log_member_lag", "Positions that a member is behind the leader."
    ),
    _rule(r"mesos_scheduler_event_(?P<event>[A-Z_]+)", "mesos_events", "What a Mesos master told, by kind."),
    _rule(
        r"status_update_(?P<reason>REASON_\w+)_(?P<result>[A-Z_]+)", "status_updates", "Of tasks, by what came of it."
    ),
    _rule(r"task_delivery_delay_(?P<source>SOURCE_\w+?)_requests", "task_delivery_delay", "Of status updates."),
    _rule(r"update_transition_(?P<status>[A-Z_]+)", "update_transitions", "Job updates that entered a status."),
    _rule(r"update_instance_transition_(?P<action>[A-Z_]+)", "update_instance_transitions", "Steps of job updates."),
    _rule(rf"updates_sla_kill_(?P<_what>attempt|success)_{_JOB}", "updates_sla_kill_{_what}", "SLA-aware kills."),
    _rule(r"scheduling_veto_(?P<veto>\w+)", "scheduling_vetoes", "Offers that did not fit, by why."),
    _rule(r"preemptor_slot_search_(?P<result>successful|failed)_for_(?P<whom>.+)", "preemptor_searches", "By result."),
    _rule(r"preempt(?:or|ion)_slot_search_attempts_for_(?P<whom>.+)", "preemptor_search_attempts", "By whom."),
    _rule(r"preemptor_slot_validation_(?P<result>[a-z]+)_for_(?P<whom>.+)", "preemptor_job_validations", "By result."),
    _rule(
        r"preemptor_slot_validation_(?P<result>[a-z]+)", "preemptor_validations", "Slots looked at again, by result."
    ),
    _rule(r"preemptor_tasks_preempted_(?P<whom>.+)", "preemptor_tasks_preempted", "Tasks that made room, by whose."),
    _rule(r"preemptor_task_preemptor_(?P<whom>.+)", "preemptor_tasks_placed", "Tasks that took the place of others."),
    _rule(rf"sla_coordinator_(?P<_what>\w+?)_{_INSTANCE}", "sla_coordinator_task_{_what}", "By instance."),
    _rule(rf"sla_{_JOB}_job_uptime_(?P<percent>[\d.]+)_sec(?P<_n>_nonprod)?", "sla_job_uptime_seconds{_n}", "Reached."),
    _rule(
        rf"sla_{_JOB}_(?P<_what>(?:platform_uptime_percent|mtt[asr]_ms)(?:_nonprod)?)",
        "sla_job_{_what}",
        "How well a job did lately.",
    ),
    _rule(rf"sla_(?P<_of>cpu|ram|disk)_(?P<size>{_SIZES})_(?P<_what>\w+)", "sla_{_of}_{_what}", "By size of tasks."),
    _rule(rf"maintenance_countdown_ms_{_INSTANCE}", "maintenance_countdown_ms", "Until a task is forced to move."),
    _rule(
        rf"resources_per_role_(?P<_pool>total|dedicated|quota|free_pool)_consumed_(?P<role>.+)_{_RESOURCE}",
        "role_resources_{_pool}_consumed",
        "What active tasks were promised, by role.",
    ),
    _rule(rf"quota_per_role_(?P<role>.+)_{_RESOURCE}", "role_quota", "Granted to roles."),
    _rule(rf"resources_(?P<_what>\w+?)_{_RESOURCE}", "resources_{_what}", "What active tasks were promised."),
    _rule(
        r"empty_slots_(?P<_of>dedicated_)?(?P<_r>revocable_)?(?P<size>[a-z]+)", "empty_slots_{_of}{_r}by_size", "Room."
    ),
)
"""The first that fits counts."""

_HELP = {
    "jvm_uptime_secs": "Seconds since this process began.",
    "framework_registered": "1 on the leader that the engine knows.",
    "scheduler_fit_to_lead": "1 while this scheduler may lead.",
    "outstanding_offers": "Offers that are held.",
    "tasks_pending_longest_secs": "Seconds that the task has waited that has been PENDING longest.",
    "job_updates_rolling": "Job updates that are under way, not paused or waiting for a pulse.",
    "job_updates_idle_longest_secs": "Seconds since anything happened to the one of these that has rested longest.",
    "timed_out_tasks": "Tasks that were lost because they did not get further in time.",
    "process_cpu_cores_utilized": "Seconds of processor time used per second.",
    "process_resident_memory_mb": "Memory that this process has, in MB.",
    "event_loop_longest_hold_ms": "The longest time that anything held the event loop, in ms.",
    "event_loop_long_holds": "How often the event loop was held for too long.",
    "scheduler_log_native_append": "Time that appends to the log took.",
}
_PER = {"nanos": 1e9, "ns": 1e9, "micros": 1e6, "ms": 1e3}  # units of what comes with events, per second
_DERIVED = re.compile(rf".*_(?:events_per_sec|(?:{'|'.join(_PER)})_(?:total_per_sec|per_event))")
_SUM = re.compile(rf"(?P<stem>.+)_(?P<unit>{'|'.join(_PER)})_total")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_]")
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Sample(NamedTuple):
    family: str
    kind: str
    help: str
    suffix: str
    labels: tuple[tuple[str, str], ...]
    value: float


def exposition(values: Mapping[str, Value], is_counter: Callable[[str], bool]) -> str:
    """All of `values`, those of each metric together. `is_counter` says which only grow."""
    families: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples(values, is_counter):
        families.setdefault((sample.family, sample.kind), []).append(sample)
    return "".join(f"{line}\n" for key in sorted(families) for line in _family_lines(families[key]))


def samples(values: Mapping[str, Value], is_counter: Callable[[str], bool]) -> Iterator[Sample]:
    for name, value in values.items():
        timed = _SUM.fullmatch(name)
        stem = name.removesuffix("_events")
        if isinstance(value, str):
            yield _info(name, value)
        elif _DERIVED.fullmatch(name) or (stem != name and any(f"{stem}_{unit}_total" in values for unit in _PER)):
            continue  # rates, which Prometheus computes, and counts, which go with their sums
        elif timed and f"{timed['stem']}_events" in values:
            count = values[f"{timed['stem']}_events"]
            assert not isinstance(count, str)
            family, help_, labels = _named(timed["stem"])
            family = f"{family}_seconds"
            yield Sample(family, "summary", help_, "_sum", labels, float(value) / _PER[timed["unit"]])
            yield Sample(family, "summary", help_, "_count", labels, float(count))
        else:
            family, help_, labels = _named(name)
            counts = is_counter(name)
            yield Sample(
                f"{family}_total" if counts else family, "counter" if counts else "gauge", help_, "", labels, value
            )


def _named(statistic: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Family, help and labels."""
    for rule in RULES:
        found = rule.pattern.fullmatch(statistic)
        if found:
            groups = {name: text or "" for name, text in found.groupdict().items()}
            labels = tuple((name, text) for name, text in groups.items() if not name.startswith("_"))
            return f"aurora_{rule.name.format(**groups)}", rule.help, labels
    return f"aurora_{_NOT_IN_NAME.sub('_', statistic)}", _HELP.get(statistic, f"{statistic} of /vars."), ()


def _info(name: str, value: str) -> Sample:
    family = f"aurora_{_NOT_IN_NAME.sub('_', name)}_info"
    return Sample(family, "gauge", f"{name} of /vars, as a label.", "", (("value", value),), 1)


def _family_lines(family: list[Sample]) -> Iterator[str]:
    name, kind, help_ = family[0].family, family[0].kind, family[0].help
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {kind}"
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    for sample in family:
        if (sample.suffix, sample.labels) not in seen:  # two statistics may differ only in what a name may not have
            seen.add((sample.suffix, sample.labels))
            labels = ",".join(f'{label}="{text.translate(_ESCAPED)}"' for label, text in sample.labels)
            yield f"{name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {_spelled(sample.value)}"


def _spelled(value: float) -> str:
    return (
        str(int(value)) if float(value).is_integer() else repr(float(value)).replace("inf", "Inf").replace("nan", "NaN")
    )
