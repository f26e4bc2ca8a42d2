from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
    Range,
    VariableBatchJobUpdateStrategy,
)
from aurorad.jobfile import settings
from aurorad.jobfile.errors import ConfigError
from tests.jobfile.evaluating import evaluate, minimal


def converted(folder: Path, text: str, *instances: int) -> JobUpdateSettings:
    config = evaluate(folder, minimal(f"instances = 20, update_config = UpdateConfig({text})"))
    return settings.convert(config.job.update_config, instances)


def test_the_defaults(tmp_path: Path) -> None:
    assert converted(tmp_path, "") == JobUpdateSettings(
        update_group_size=1,
        min_wait_in_instance_running_ms=45_000,
        rollback_on_failure=True,
        update_strategy=JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(1)),
    )


def test_everything_set(tmp_path: Path) -> None:
    text = (
        "batch_size = 3, watch_secs = 0, max_per_shard_failures = 1, max_total_failures = 2, sla_aware = True, "
        "rollback_on_failure = False, wait_for_batch_completion = True, pulse_interval_secs = 60"
    )
    assert converted(tmp_path, text, 9, 0, 1, 2, 5, 8) == JobUpdateSettings(
        update_group_size=3,
        max_per_instance_failures=1,
        max_failed_instances=2,
        min_wait_in_instance_running_ms=0,
        rollback_on_failure=False,
        update_only_these_instances=frozenset({Range(0, 2), Range(5, 5), Range(8, 9)}),
        wait_for_batch_completion=True,
        block_if_no_pulses_after_ms=60_000,
        sla_aware=True,
        update_strategy=JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(3, False)),
    )


@pytest.mark.parametrize(
    ("text", "strategy", "group_size", "waits"),
    [
        (
            "QueueUpdateStrategy(batch_size = 4)",
            JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(4)),
            4,
            False,
        ),
        (
            "BatchUpdateStrategy(batch_size = 4, autopause_after_batch = True)",
            JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(4, True)),
            4,
            True,
        ),
        (
            "VariableBatchUpdateStrategy(batch_sizes = [2, 5])",
            JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy((2, 5), False)),
            2,
            False,
        ),
    ],
)
def test_an_explicit_strategy(
    tmp_path: Path, text: str, strategy: JobUpdateStrategy, group_size: int, waits: bool
) -> None:
    made = converted(tmp_path, f"update_strategy = {text}")
    assert made.update_strategy == strategy
    assert (made.update_group_size, made.wait_for_batch_completion) == (group_size, waits)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("batch_size = 0", "Batch size should be greater than 0"),
        ("watch_secs = -1", "Watch seconds should be greater than or equal to 0"),
        ("pulse_interval_secs = 59", "Pulse interval seconds must be at least 60 seconds."),
        (
            "wait_for_batch_completion = True, update_strategy = QueueUpdateStrategy()",
            "Ambiguous update configuration. Cannot combine wait_batch_completion with an explicit update strategy.",
        ),
        (
            "batch_size = 2, update_strategy = QueueUpdateStrategy()",
            "Ambiguous update configuration. Cannot combine update strategy with batch size. "
            "Please set batchsize inside of update strategy instead.",
        ),
    ],
)
def test_settings_that_make_no_sense_are_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        converted(tmp_path, text)
    assert str(caught.value) == message
