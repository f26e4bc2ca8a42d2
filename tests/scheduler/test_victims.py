"""Who is on which agent is known at any time, whatever happened."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from aurorad.api.enums import ScheduleStatus
from aurorad.api.tasks import AssignedTask, JobKey, ScheduledTask, TaskConfig
from aurorad.rules import executors
from aurorad.rules.tiers import BUILT_IN
from aurorad.scheduler.victims import Victims
from aurorad.storage.events import TaskChanged
from tests.scheduler.world import config

S = ScheduleStatus
TIERS = ("preferred", "preemptible", "revocable", None, "unheard-of")
STEPS = st.lists(
    st.tuples(
        st.integers(0, 5),  # the task
        st.integers(0, 3),  # its agent
        st.tuples(st.sampled_from(TIERS), st.sampled_from(["a", "b"]), st.integers(0, 2)),
        st.sampled_from([None, *S]),
    ),
    max_size=40,
)


def of(tier: str | None, role: str, priority: int) -> TaskConfig:
    return msgspec.structs.replace(config(), tier=tier, job=JobKey(role, "prod", "job"), priority=priority)


def seen(victims: Victims) -> dict[str, object]:
    """All that can be asked."""
    loads = {f"agent-{n}": victims.on(f"agent-{n}") for n in range(4)}
    tasks = {
        agent_id: {(v.task_id, v.kind.config, v.is_ending) for v in load.victims.values()}
        for agent_id, load in loads.items()
        if load is not None
    }
    found = {
        (tier, role, priority): set(victims.agents_for(JobKey(role, "prod", "x"), priority, BUILT_IN.by_name[tier]))
        for tier in BUILT_IN.by_name
        for role in ("a", "b")
        for priority in range(4)
    }
    return {"tasks": tasks, "found": found, "agents": len(victims)}


@given(STEPS)
def test_what_was_heard_change_by_change_is_what_a_new_scheduler_finds(
    steps: list[tuple[int, int, tuple[str | None, str, int], ScheduleStatus | None]],
) -> None:
    told, tasks = Victims(executors.BUILT_IN, BUILT_IN), dict[str, ScheduledTask]()
    for number, agent, kind, status in steps:
        task_id = f"task-{number}"
        before = tasks.get(task_id)
        if status is None:
            after = None
        elif before is not None and before.assigned_task.slave_id is not None:
            after = msgspec.structs.replace(before, status=status)  # a task stays where it is
        else:
            place = AssignedTask(task_id, f"agent-{agent}", f"host-{agent}", of(*kind))
            after = ScheduledTask(place, status)
        if before is None and after is None:
            continue
        told.changed(TaskChanged(before, after))
        if after is None:
            del tasks[task_id]
        else:
            tasks[task_id] = after
    found = Victims(executors.BUILT_IN, BUILT_IN)
    for task in tasks.values():
        found.changed(TaskChanged(None, task))
    assert seen(told) == seen(found)
    for task in tasks.values():
        told.changed(TaskChanged(task, None))
    assert not told
    assert vars(told)["_kinds"] == vars(told)["_ranks"] == vars(told)["_preemptible"] == {}
