"""What startJobUpdate refuses before it looks at anything stored: updates sheet, section 3, checks 1 to 10."""

import msgspec
import pytest

from aurorad.api.tasks import CountSlaPolicy, SlaPolicy, TaskConfig
from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
    VariableBatchJobUpdateStrategy,
)
from aurorad.rules.updates.requests import problem, with_strategy

TASK = TaskConfig(is_service=True)
FINE = JobUpdateSettings(update_strategy=JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(1)))
NOTHING = "Update results in no instance being modified."


def varying(*sizes: int) -> JobUpdateStrategy:
    return JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy(sizes))


WRONG: list[tuple[dict[str, object], str]] = [
    ({"update_strategy": varying(2, 0)}, "All update group sizes must be positive."),
    ({"update_strategy": JobUpdateStrategy()}, "Update strategy provided is unknown."),
    ({"update_strategy": varying()}, NOTHING),
    ({"update_strategy": JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(0))}, NOTHING),
    ({"update_strategy": JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(-1))}, NOTHING),
    ({"max_per_instance_failures": -1}, "maxPerInstanceFailures must be non-negative."),
    ({"max_failed_instances": -1}, "maxFailedInstances must be non-negative."),
    (
        {"max_per_instance_failures": 6},
        "Your update allows too many failures to occur, consider decreasing the per-instance failures or "
        "maxFailedInstances.",
    ),
    ({"min_wait_in_instance_running_ms": -1}, "minWaitInInstanceRunningMs must be non-negative."),
    ({"block_if_no_pulses_after_ms": -1}, "blockIfNoPulsesAfterMs must be positive."),
    ({"sla_aware": True}, "slaAware is true, but no task slaPolicy is specified."),
]


def check(task: TaskConfig = TASK, /, **settings: object) -> str | None:
    made = msgspec.structs.replace(FINE, **settings)
    return problem(JobUpdateRequest(task, 4, made), made, max_failures=20)


@pytest.mark.parametrize(("settings", "text"), WRONG)
def test_each_wrong_setting_is_told(settings: dict[str, object], text: str) -> None:
    assert check(**settings) == text


@pytest.mark.parametrize("first", range(len(WRONG)))
@pytest.mark.parametrize("second", range(len(WRONG)))
def test_of_two_wrong_settings_the_earlier_check_speaks(first: int, second: int) -> None:
    (one, text), (other, _) = WRONG[min(first, second)], WRONG[max(first, second)]
    assert check(**(other | one)) == text


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_per_instance_failures": 5},
        {"block_if_no_pulses_after_ms": 1},
        {"update_strategy": varying(1, 2)},
        {"update_strategy": JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(3))},
    ],
)
def test_sound_settings_pass(settings: dict[str, object]) -> None:
    assert check(**settings) is None


def test_sla_aware_is_sound_with_a_policy() -> None:
    task = msgspec.structs.replace(TASK, sla_policy=SlaPolicy(count_sla_policy=CountSlaPolicy(1, 1)))
    assert check(task, sla_aware=True) is None


def test_the_deprecated_fields_become_a_strategy() -> None:
    queue = with_strategy(JobUpdateSettings(update_group_size=3)).update_strategy
    batch = with_strategy(JobUpdateSettings(update_group_size=3, wait_for_batch_completion=True)).update_strategy
    assert queue == JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(3))
    assert batch == JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(3))


def test_a_strategy_that_was_given_wins_over_the_deprecated_fields() -> None:
    given = msgspec.structs.replace(FINE, update_group_size=9, wait_for_batch_completion=True)
    assert with_strategy(given) == given
