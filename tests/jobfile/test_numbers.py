from __future__ import annotations

from pathlib import Path

import pytest

from aurorad.jobfile.errors import ConfigError
from tests.jobfile.evaluating import evaluate, minimal

WATCHED_FOR_30_DAYS = "update_config = UpdateConfig(watch_secs = 30 * 86400)"
QUEUE = "update_config = UpdateConfig(update_strategy = QueueUpdateStrategy(batch_size = 10**10))"


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("instances = 3000000000", "3000000000 is too large: at most 2147483647", "Job at {}:2, instances"),
        ("priority = -2**31 - 1", "-2147483649 is too large: at most 2147483647", "Job at {}:2, priority"),
        (
            WATCHED_FOR_30_DAYS,
            "2592000 is too large: at most 2147483",
            "UpdateConfig at {}:3, update_config.watch_secs",
        ),
        (
            QUEUE,
            "10000000000 is too large: at most 2147483647",
            "QueueUpdateStrategy at {}:3, update_config.update_strategy.batch_size",
        ),
        (
            "partition_policy = PartitionPolicy(delay_secs = 2**63)",
            "9223372036854775808 is too large: at most 9223372036854775807",
            "PartitionPolicy at {}:3, partition_policy.delay_secs",
        ),
        (
            "health_check_config = HealthCheckConfig(timeout_secs = 'nan')",
            "nan where a finite number",
            "HealthCheckConfig at {}:3, health_check_config.timeout_secs",
        ),
    ],
)
def test_a_number_without_room_is_refused_with_its_place(tmp_path: Path, text: str, message: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate(tmp_path, minimal(text))
    assert str(caught.value) == f"{message} was expected ({place.format(tmp_path / 'job.aurora')})"


@pytest.mark.parametrize("cpu", ["float('inf')", "'nan'", "10**400"])
def test_cores_are_a_finite_number(tmp_path: Path, cpu: str) -> None:
    with pytest.raises(ConfigError, match=r"Resources at .*job.aurora:4, task.resources.cpu"):
        evaluate(tmp_path, minimal().replace("cpu = 1", f"cpu = {cpu}"))


def test_the_largest_numbers_are_fine(tmp_path: Path) -> None:
    text = "instances = 2**31 - 1, priority = -2**31, update_config = UpdateConfig(watch_secs = 2147483)"
    assert evaluate(tmp_path, minimal(text)).job.priority == -(2**31)
