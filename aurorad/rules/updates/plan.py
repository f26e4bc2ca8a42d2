"""An update unfolded from its instructions once: targets, working set, order (updates sheet, sections 5 and 6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from aurorad.api.ranges import numbers
from aurorad.api.tasks import SlaPolicy, TaskConfig
from aurorad.api.updates import InstanceTaskConfig, JobUpdateInstructions, JobUpdateSettings
from aurorad.rules.updates.strategies import Strategy, strategy_of


@dataclasses.dataclass(frozen=True)
class Plan:
    """Targets of both directions by instance id; an instance without one shall not exist."""

    initial: Mapping[int, TaskConfig]
    desired: Mapping[int, TaskConfig]
    order: tuple[int, ...]
    """The working set: creations first, then changes, then removals, each by id. A rollback goes the other way."""
    strategy: Strategy
    settings: JobUpdateSettings
    sla_policy: SlaPolicy | None
    """The promise that holds for what an update replaces or removes on its way forward."""

    @staticmethod
    def of(instructions: JobUpdateInstructions) -> Plan:
        """Raises `ValueError` for instructions that this scheduler cannot follow."""
        initial = _unfold(instructions.initial_state)
        desired = _unfold([instructions.desired_state] if instructions.desired_state is not None else [])
        working_set = initial.keys() | desired.keys()
        if not working_set:
            raise ValueError("Update instruction is a no-op.")
        order = sorted(working_set, key=lambda i: (i in initial, i not in desired, i))
        settings, wanted = instructions.settings, instructions.desired_state
        return Plan(
            initial,
            desired,
            tuple(order),
            strategy_of(settings),
            settings,
            wanted.task.sla_policy if wanted is not None else None,
        )

    def targets(self, forward: bool) -> Mapping[int, TaskConfig]:
        return self.desired if forward else self.initial

    def policy(self, instance: int, forward: bool) -> SlaPolicy | None:
        """The promise to keep when `instance` is killed; None when it may be killed at any time (section 7)."""
        if not self.settings.sla_aware:
            return None
        if forward:
            return self.sla_policy
        before = self.initial.get(instance)
        return before.sla_policy if before is not None else None

    def in_order(self, forward: bool) -> Iterable[int]:
        return self.order if forward else reversed(self.order)


def _unfold(groups: Iterable[InstanceTaskConfig]) -> dict[int, TaskConfig]:
    return {i: group.task for group in groups for i in numbers(group.instances)}
