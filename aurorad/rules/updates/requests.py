"""Whether a startJobUpdate request makes sense in itself (updates sheet, section 3, checks 1 to 10)."""

from __future__ import annotations

import msgspec

from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
)

NO_INSTANCE_MODIFIED = "Update results in no instance being modified."
NOT_A_SERVICE = "Updates are not supported for non-service tasks."
UNCHANGED = "Job is unchanged by proposed update."


def with_strategy(settings: JobUpdateSettings) -> JobUpdateSettings:
    """The settings with the strategy that the deprecated fields stand for, if they name none."""
    if settings.update_strategy is not None:
        return settings
    size = settings.update_group_size
    if settings.wait_for_batch_completion:
        strategy = JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(size))
    else:
        strategy = JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(size))
    return msgspec.structs.replace(settings, update_strategy=strategy)


def problem(request: JobUpdateRequest, settings: JobUpdateSettings, max_failures: int) -> str | None:
    """The first thing wrong with a service's request whose `settings` carry a strategy; None when nothing is."""
    wrong = _strategy_problem(settings.update_strategy)
    if wrong is not None:
        return wrong
    if settings.max_per_instance_failures < 0:
        return "maxPerInstanceFailures must be non-negative."
    if settings.max_failed_instances < 0:
        return "maxFailedInstances must be non-negative."
    if settings.max_per_instance_failures * request.instance_count > max_failures:
        return (
            "Your update allows too many failures to occur, consider decreasing the per-instance failures or "
            "maxFailedInstances."
        )
    if settings.min_wait_in_instance_running_ms < 0:
        return "minWaitInInstanceRunningMs must be non-negative."
    if settings.block_if_no_pulses_after_ms < 0:
        return "blockIfNoPulsesAfterMs must be positive."
    if settings.sla_aware and request.task_config.sla_policy is None:
        return "slaAware is true, but no task slaPolicy is specified."
    return None


def _strategy_problem(strategy: JobUpdateStrategy | None) -> str | None:
    if strategy is None:
        return "Update strategy provided is unknown."
    if strategy.var_batch_strategy is not None:
        sizes = strategy.var_batch_strategy.group_sizes
        if any(size <= 0 for size in sizes):
            return "All update group sizes must be positive."
        return None if sizes else NO_INSTANCE_MODIFIED
    simple = strategy.queue_strategy or strategy.batch_strategy
    if simple is None:
        return "Update strategy provided is unknown."
    return None if simple.group_size > 0 else NO_INSTANCE_MODIFIED
