"""What an update would change: current against desired instances (updates sheet, section 3, "Diff / working set")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aurorad.api.ranges import numbers, spans
from aurorad.api.results import ConfigGroup, GetJobUpdateDiffResult
from aurorad.api.tasks import ScheduledTask, TaskConfig
from aurorad.api.updates import InstanceTaskConfig, JobUpdateInstructions, JobUpdateSettings, Range

MAX_INSTANCES = 100_000
"""The most instance ids one request may name: far above any job, far below what would hold the event loop."""


class JobDiff(NamedTuple):
    """`replaced` and `unchanged` give the present configuration of each instance, `replacements` the wanted one."""

    replaced: Mapping[int, TaskConfig]
    replacements: Mapping[int, TaskConfig]
    unchanged: Mapping[int, TaskConfig]

    @property
    def is_noop(self) -> bool:
        return not self.replaced and not self.replacements


def diff(
    current: Mapping[int, TaskConfig], wanted: TaskConfig, instance_count: int, only: frozenset[int] = frozenset()
) -> JobDiff:
    """How `current` becomes instances 0..instance_count-1 of `wanted`; a non-empty `only` leaves all others alone."""
    desired = range(instance_count)
    kept = {i for i, config in current.items() if i in desired and config == wanted}
    replaced = {i: config for i, config in current.items() if i not in kept and _within(i, only)}
    replacements = {i: wanted for i in desired if i not in kept and _within(i, only)}
    unchanged = {i: config for i, config in current.items() if i not in replaced}
    return JobDiff(replaced, replacements, unchanged)


def _within(instance: int, only: frozenset[int]) -> bool:
    return not only or instance in only


def irrelevant(current: Mapping[int, TaskConfig], instance_count: int, only: frozenset[int]) -> list[int]:
    """The ids in `only` that are neither current nor desired, sorted."""
    return sorted(i for i in only if i not in current and i not in range(instance_count))


def current_configs(active: Iterable[ScheduledTask]) -> dict[int, TaskConfig]:
    """The configuration of each instance, given the active tasks of one job."""
    return {task.assigned_task.instance_id: task.assigned_task.task for task in active}


def instructions(changes: JobDiff, settings: JobUpdateSettings) -> JobUpdateInstructions:
    """What startJobUpdate stores; `desired_state` is unset for a pure removal."""
    desired = _instance_configs(changes.replacements)
    return JobUpdateInstructions(
        initial_state=frozenset(_instance_configs(changes.replaced)),
        desired_state=desired[0] if desired else None,
        settings=settings,
    )


def diff_result(changes: JobDiff) -> GetJobUpdateDiffResult:
    """What getJobUpdateDiff answers: additions with the new configuration, everything else with the present one."""
    both = changes.replaced.keys() & changes.replacements.keys()
    return GetJobUpdateDiffResult(
        add=_config_groups({i: c for i, c in changes.replacements.items() if i not in both}),
        remove=_config_groups({i: c for i, c in changes.replaced.items() if i not in both}),
        update=_config_groups({i: c for i, c in changes.replaced.items() if i in both}),
        unchanged=_config_groups(changes.unchanged),
    )


def _instance_configs(configs: Mapping[int, TaskConfig]) -> list[InstanceTaskConfig]:
    return [InstanceTaskConfig(config, ranges(ids)) for config, ids in by_config(configs).items()]


def _config_groups(configs: Mapping[int, TaskConfig]) -> frozenset[ConfigGroup]:
    return frozenset(ConfigGroup(config, ranges(ids)) for config, ids in by_config(configs).items())


def by_config(configs: Mapping[int, TaskConfig]) -> dict[TaskConfig, list[int]]:
    """The instances that share each configuration."""
    groups: dict[TaskConfig, list[int]] = {}
    for instance, config in configs.items():
        groups.setdefault(config, []).append(instance)
    return groups


def ranges(ids: Iterable[int]) -> frozenset[Range]:
    """`ids` as the fewest closed ranges."""
    return frozenset(Range(first, last) for first, last in spans(ids))


def expand(closed: Iterable[Range]) -> frozenset[int]:
    """The ids in `closed` ranges. Raises `ValueError` for a range that ends before it starts, or too many ids."""
    given = list(closed)
    for span in given:
        if span.last < span.first:
            raise ValueError(f"Instance range {span.first}-{span.last} ends before it starts.")
    if sum(span.last - span.first + 1 for span in given) > MAX_INSTANCES:
        raise ValueError(f"Instance ranges may hold {MAX_INSTANCES} instances at most.")
    return frozenset(numbers(given))
