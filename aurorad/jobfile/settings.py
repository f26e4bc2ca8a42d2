"""UpdateConfig to JobUpdateSettings (config-schema sheet, section 13)."""

from __future__ import annotations

from collections.abc import Iterable

from aurorad.api.ranges import spans
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
    Range,
    VariableBatchJobUpdateStrategy,
)
from aurorad.jobfile.errors import ConfigError
from aurorad.jobfile.values import Choice, UpdateConfig

MIN_PULSE_INTERVAL_SECS = 60


def convert(config: UpdateConfig, instances: Iterable[int] = ()) -> JobUpdateSettings:
    """The settings of an update of `instances`, of all when there are none. Raises `ConfigError`."""
    _check(config)
    strategy = _strategy(config)
    return JobUpdateSettings(
        update_group_size=_group_size(strategy),
        max_per_instance_failures=config.max_per_shard_failures,
        max_failed_instances=config.max_total_failures,
        min_wait_in_instance_running_ms=config.watch_secs * 1000,
        rollback_on_failure=config.rollback_on_failure,
        update_only_these_instances=frozenset(Range(first, last) for first, last in spans(instances)),
        wait_for_batch_completion=strategy.batch_strategy is not None,
        block_if_no_pulses_after_ms=(config.pulse_interval_secs or 0) * 1000,
        sla_aware=config.sla_aware,
        update_strategy=strategy,
    )


def _check(config: UpdateConfig) -> None:
    if config.batch_size <= 0:
        raise ConfigError("Batch size should be greater than 0")
    if config.watch_secs < 0:
        raise ConfigError("Watch seconds should be greater than or equal to 0")
    if config.pulse_interval_secs is not None and config.pulse_interval_secs < MIN_PULSE_INTERVAL_SECS:
        raise ConfigError(f"Pulse interval seconds must be at least {MIN_PULSE_INTERVAL_SECS} seconds.")
    if config.update_strategy is None:
        return
    if config.wait_for_batch_completion:
        raise ConfigError(
            "Ambiguous update configuration. Cannot combine wait_batch_completion with an explicit update strategy."
        )
    if config.batch_size > 1:
        raise ConfigError(
            "Ambiguous update configuration. Cannot combine update strategy with batch size. "
            "Please set batchsize inside of update strategy instead."
        )


def _strategy(config: UpdateConfig) -> JobUpdateStrategy:
    explicit: Choice | None = config.update_strategy
    match explicit:
        case None if config.wait_for_batch_completion:
            return JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(config.batch_size, False))
        case None:
            return JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(config.batch_size))
        case {"batch_sizes": sizes, "autopause_after_batch": pause}:
            return JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy(tuple(sizes), pause))
        case {"batch_size": size, "autopause_after_batch": pause}:
            return JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(size, pause))
        case {"batch_size": size}:
            return JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(size))
    raise ConfigError(f"Unknown update strategy {explicit}")


def _group_size(strategy: JobUpdateStrategy) -> int:
    """The deprecated field beside the strategy."""
    if strategy.queue_strategy is not None:
        return strategy.queue_strategy.group_size
    if strategy.batch_strategy is not None:
        return strategy.batch_strategy.group_size
    sizes = strategy.var_batch_strategy.group_sizes if strategy.var_batch_strategy is not None else ()
    return sizes[0] if sizes else 1
