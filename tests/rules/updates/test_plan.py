"""Instructions unfolded: updates sheet, sections 3 and 5."""

import pytest

from aurorad.api.tasks import TaskConfig
from aurorad.api.updates import InstanceTaskConfig, JobUpdateInstructions, JobUpdateSettings, Range
from aurorad.rules.updates.plan import Plan

OLD, OTHER, NEW = (TaskConfig(priority=priority) for priority in (1, 2, 3))
SETTINGS = JobUpdateSettings(update_group_size=2)


def spans(*pairs: tuple[int, int]) -> frozenset[Range]:
    return frozenset(Range(*pair) for pair in pairs)


def test_creations_come_first_then_changes_then_removals_each_by_id() -> None:
    instructions = JobUpdateInstructions(
        frozenset({InstanceTaskConfig(OLD, spans((0, 1), (7, 8))), InstanceTaskConfig(OTHER, spans((3, 3)))}),
        InstanceTaskConfig(NEW, spans((0, 5))),
        SETTINGS,
    )
    plan = Plan.of(instructions)
    assert plan.order == (2, 4, 5, 0, 1, 3, 7, 8)
    assert list(plan.in_order(False)) == [8, 7, 3, 1, 0, 5, 4, 2]
    assert plan.targets(True) == dict.fromkeys(range(6), NEW)
    assert plan.targets(False) == {0: OLD, 1: OLD, 7: OLD, 8: OLD, 3: OTHER}


def test_instructions_that_change_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="no-op"):
        Plan.of(JobUpdateInstructions(settings=SETTINGS))
