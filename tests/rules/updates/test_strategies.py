"""Group sizes: updates sheet, section 5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.updates import (
    BatchJobUpdateStrategy,
    JobUpdateSettings,
    JobUpdateStrategy,
    QueueJobUpdateStrategy,
    VariableBatchJobUpdateStrategy,
)
from aurorad.rules.updates.strategies import Kind, Strategy, strategy_of


def groups(strategy: Strategy, total: int, forward: bool = True) -> list[int]:
    """The groups of an update whose every group ends before the next begins."""
    found, started = [], 0
    while started < total:
        size = strategy.group_size(idle=total - started, active=0, started=started, forward=forward)
        assert 0 < size <= total - started
        found.append(size)
        started += size
    return found


@pytest.mark.parametrize(("idle", "active", "size"), [(5, 0, 3), (5, 1, 2), (5, 3, 0), (5, 4, 0), (1, 0, 1), (0, 0, 0)])
def test_a_queue_is_filled_up(idle: int, active: int, size: int) -> None:
    assert Strategy(Kind.QUEUE, (3,)).group_size(idle=idle, active=active, started=0, forward=True) == size


@pytest.mark.parametrize(("idle", "active", "size"), [(5, 0, 3), (2, 0, 2), (5, 1, 0), (0, 0, 0)])
@pytest.mark.parametrize("forward", [True, False])
def test_a_batch_waits_for_the_one_before(idle: int, active: int, size: int, forward: bool) -> None:
    assert Strategy(Kind.BATCH, (3,)).group_size(idle=idle, active=active, started=0, forward=forward) == size


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ((1, 2), 10, [1, 2, 2, 2, 2, 1]),
        ((1, 2, 3), 6, [1, 2, 3]),
        ((1, 3), 4, [1, 3]),
        ((5,), 3, [3]),
        ((1, 1, 4), 8, [1, 1, 4, 2]),
    ],
)
def test_variable_batches_forward(sizes: tuple[int, ...], total: int, expected: list[int]) -> None:
    assert groups(Strategy(Kind.VARIABLE_BATCH, sizes), total) == expected


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ((1, 2, 3), 6, [3, 2, 1]),
        ((1, 2), 10, [1, 2, 2, 2, 2, 1]),
        ((1, 3), 4, [3, 1]),
        ((5,), 3, [3]),
        ((1, 2, 3), 9, [3, 3, 2, 1]),
        ((1, 2, 3), 2, [1, 1]),
    ],
)
def test_variable_batches_backward(sizes: tuple[int, ...], total: int, expected: list[int]) -> None:
    assert groups(Strategy(Kind.VARIABLE_BATCH, sizes), total, forward=False) == expected


@pytest.mark.parametrize("forward", [True, False])
def test_a_variable_batch_waits_for_the_one_before(forward: bool) -> None:
    assert Strategy(Kind.VARIABLE_BATCH, (1, 2)).group_size(idle=5, active=1, started=1, forward=forward) == 0


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 60))
def test_going_back_makes_the_groups_of_going_forward_in_reverse(sizes: list[int], total: int) -> None:
    strategy = Strategy(Kind.VARIABLE_BATCH, tuple(sizes))
    assert groups(strategy, total, forward=False) == list(reversed(groups(strategy, total)))


@given(st.sampled_from(list(Kind)), st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(0, 60))
def test_the_groups_started_are_counted_from_the_instances_started(kind: Kind, sizes: list[int], total: int) -> None:
    strategy = Strategy(kind, tuple(sizes) if kind is Kind.VARIABLE_BATCH else (sizes[0],))
    assert strategy.groups_started(total) == len(groups(strategy, total))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (JobUpdateSettings(update_group_size=2), Strategy(Kind.QUEUE, (2,))),
        (JobUpdateSettings(update_group_size=2, wait_for_batch_completion=True), Strategy(Kind.BATCH, (2,))),
        (
            JobUpdateSettings(update_strategy=JobUpdateStrategy(queue_strategy=QueueJobUpdateStrategy(4))),
            Strategy(Kind.QUEUE, (4,)),
        ),
        (
            JobUpdateSettings(update_strategy=JobUpdateStrategy(batch_strategy=BatchJobUpdateStrategy(4, True))),
            Strategy(Kind.BATCH, (4,), True),
        ),
        (
            JobUpdateSettings(
                update_strategy=JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy((1, 2), True))
            ),
            Strategy(Kind.VARIABLE_BATCH, (1, 2), True),
        ),
    ],
)
def test_settings_give_a_strategy(settings: JobUpdateSettings, expected: Strategy) -> None:
    assert strategy_of(settings) == expected


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (JobUpdateSettings(update_strategy=JobUpdateStrategy()), "unknown"),
        (JobUpdateSettings(), "must be positive"),
        (
            JobUpdateSettings(
                update_strategy=JobUpdateStrategy(var_batch_strategy=VariableBatchJobUpdateStrategy((1, 0)))
            ),
            "must be positive",
        ),
    ],
)
def test_settings_that_cannot_be_followed_are_refused(settings: JobUpdateSettings, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        strategy_of(settings)
