"""The diff of an update: updates sheet, section 3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.results import ConfigGroup
from aurorad.api.tasks import JobKey, TaskConfig
from aurorad.api.updates import InstanceTaskConfig, JobUpdateSettings, Range
from aurorad.rules import job_diff
from aurorad.rules.job_diff import diff, expand, ranges

JOB = JobKey("www", "prod", "web")
OLD = TaskConfig(JOB, is_service=True, priority=1)
OTHER = TaskConfig(JOB, is_service=True, priority=3)
NEW = TaskConfig(JOB, is_service=True, priority=2)


def groups(*members: tuple[TaskConfig, tuple[int, int]]) -> frozenset[ConfigGroup]:
    return frozenset(ConfigGroup(config, frozenset({Range(*span)})) for config, span in members)


@pytest.mark.parametrize(
    ("current", "wanted", "count", "only", "replaced", "replacements", "unchanged"),
    [
        pytest.param({0: OLD, 1: OLD}, OLD, 2, [], [], [], [0, 1], id="the same"),
        pytest.param({0: OLD}, OLD, 3, [], [], [1, 2], [0], id="more instances"),
        pytest.param({0: OLD, 1: OLD, 2: OLD}, OLD, 1, [], [1, 2], [], [0], id="fewer instances"),
        pytest.param({0: OLD, 1: OLD}, NEW, 2, [], [0, 1], [0, 1], [], id="a change"),
        pytest.param({0: OLD, 1: OLD}, NEW, 3, [], [0, 1], [0, 1, 2], [], id="a change and one more"),
        pytest.param({0: OLD, 1: OLD, 2: OLD}, NEW, 2, [], [0, 1, 2], [0, 1], [], id="a change and one fewer"),
        pytest.param({}, NEW, 2, [], [], [0, 1], [], id="a new job"),
        pytest.param({0: OLD, 1: OLD, 2: OLD}, NEW, 3, [1], [1], [1], [0, 2], id="only one of them"),
        pytest.param({0: OLD}, NEW, 1, [7], [], [], [0], id="only one that is none"),
        pytest.param({0: OLD, 2: NEW}, NEW, 2, [], [0, 2], [0, 1], [], id="a gap"),
        pytest.param({0: OLD}, OLD, 0, [], [0], [], [], id="no instances"),
        pytest.param({0: OLD}, OLD, -3, [], [0], [], [], id="a negative count"),
    ],
)
def test_diff(
    current: dict[int, TaskConfig],
    wanted: TaskConfig,
    count: int,
    only: list[int],
    replaced: list[int],
    replacements: list[int],
    unchanged: list[int],
) -> None:
    found = diff(current, wanted, count, frozenset(only))
    assert sorted(found.replaced) == replaced
    assert sorted(found.replacements) == replacements
    assert sorted(found.unchanged) == unchanged
    assert found.is_noop == (not replaced and not replacements)
    assert all(config == wanted for config in found.replacements.values())
    assert all(config == current[i] for i, config in [*found.replaced.items(), *found.unchanged.items()])


def test_the_answer_of_a_diff_names_the_present_configuration_but_for_additions() -> None:
    result = job_diff.diff_result(diff({0: OLD, 1: OLD, 4: OTHER, 5: NEW}, NEW, 4))
    assert result.add == groups((NEW, (2, 3)))
    assert result.update == groups((OLD, (0, 1)))
    assert result.remove == groups((OTHER, (4, 4)), (NEW, (5, 5)))
    assert result.unchanged == frozenset()


def test_instructions_group_the_initial_state_by_configuration() -> None:
    settings = JobUpdateSettings(update_group_size=1)
    made = job_diff.instructions(diff({0: OLD, 1: OTHER, 2: OLD}, NEW, 3), settings)
    assert made.initial_state == {
        InstanceTaskConfig(OLD, frozenset({Range(0, 0), Range(2, 2)})),
        InstanceTaskConfig(OTHER, frozenset({Range(1, 1)})),
    }
    assert made.desired_state == InstanceTaskConfig(NEW, frozenset({Range(0, 2)}))
    assert made.settings == settings


def test_a_pure_removal_has_no_desired_state() -> None:
    assert job_diff.instructions(diff({0: OLD, 1: OLD}, OLD, 1), JobUpdateSettings()).desired_state is None


def test_ids_that_are_neither_current_nor_desired_are_irrelevant() -> None:
    assert job_diff.irrelevant({5: OLD}, 2, frozenset({9, 0, 5, -1})) == [-1, 9]


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Instance range 3-1 ends before it starts\."):
        expand([Range(3, 1)])


def test_ranges_too_long_to_unfold_are_refused() -> None:
    with pytest.raises(ValueError, match=r"100000 instances at most"):
        expand([Range(0, 2**31 - 1)])


@given(st.sets(st.integers(-50, 50)))
def test_ranges_hold_exactly_the_ids_and_never_touch(ids: set[int]) -> None:
    made = ranges(ids)
    assert expand(made) == ids
    assert len(made) == sum(i - 1 not in ids for i in ids)


@given(
    st.dictionaries(st.integers(0, 9), st.sampled_from([OLD, OTHER, NEW])),
    st.integers(-1, 10),
    st.frozensets(st.integers(0, 9)),
)
def test_following_a_diff_leaves_the_wanted_job_within_the_scope(
    current: dict[int, TaskConfig], count: int, only: frozenset[int]
) -> None:
    found = diff(current, NEW, count, only)
    after = {i: c for i, c in current.items() if i not in found.replaced} | dict(found.replacements)
    scope = only or frozenset(range(-1, 11))
    assert {i: c for i, c in after.items() if i in scope} == {i: NEW for i in range(count) if i in scope}
    assert {i: c for i, c in after.items() if i not in scope} == {i: c for i, c in current.items() if i not in scope}
    assert not found.replacements.keys() & found.unchanged.keys()
