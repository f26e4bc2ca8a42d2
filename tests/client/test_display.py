"""What people see who wait in front of a terminal, and what others get."""

from __future__ import annotations

import io
import os
import pty
from typing import TextIO

import pytest

from aurorad.api.calls import GetJobUpdateDetails, GetJobUpdateSummaries, GetTasksWithoutConfigs, KillTasks
from aurorad.api.enums import ACTIVE_STATES, JobUpdateAction, JobUpdateStatus, ScheduleStatus
from aurorad.api.results import GetJobUpdateDetailsResult
from aurorad.api.updates import (
    InstanceTaskConfig,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateDetails,
    JobUpdateInstructions,
    JobUpdateSettings,
    Range,
)
from client import updates
from client.terminal import Terminal
from tests.client.conftest import KEY, Runner
from tests.client.fake_scheduler import FakeScheduler, ok
from tests.client.values import task, tasks, update
from tests.client.values import updates as answered

RUNNING, KILLING, KILLED = ScheduleStatus.RUNNING, ScheduleStatus.KILLING, ScheduleStatus.KILLED
FORWARD, BACK = JobUpdateStatus.ROLLING_FORWARD, JobUpdateStatus.ROLLING_BACK
DONE = JobUpdateStatus.ROLLED_FORWARD


class Screen:
    """A terminal of 100 columns; `seen` is all that was written to it."""

    def __init__(self) -> None:
        self._ours, theirs = pty.openpty()
        self.file: TextIO = os.fdopen(theirs, "w")

    def seen(self) -> str:
        self.file.close()
        found = b""
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # nobody has it open any more
                break
            if not piece:
                break
            found += piece
        os.close(self._ours)
        return found.decode()


def test_a_bar_is_shown_on_a_terminal_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, results = Screen(), io.StringIO()
    terminal = Terminal(results, screen.file)
    with terminal.display() as display:
        display.show("Killing it", 1, 3)
        terminal.out("a result")
        terminal.info("a log line")
        display.show("Killing it", 2, 3)
    terminal.info("afterwards")
    seen = screen.seen()
    assert results.getvalue() == "a result\n"
    for text in ("Killing it", "1/3", "2/3", " INFO] a log line", " INFO] afterwards"):
        assert text in seen
    assert "1 of 3" not in seen
    after = seen.rpartition(" INFO] afterwards")[0]
    assert after.endswith(("\x1b[2K", "\x1b[?25h"))  # the line is cleared, the cursor is back


def test_elsewhere_each_change_is_a_line() -> None:
    log = io.StringIO()
    with Terminal(io.StringIO(), log).display() as display:
        for done in (0, 0, 1):
            display.show("Killing it", done, 3)
    assert log.getvalue() == " INFO] Killing it: 0 of 3\n INFO] Killing it: 1 of 3\n"


def test_waiting_for_killed_instances_says_how_many_are_left(aurora: Runner, scheduler: FakeScheduler) -> None:
    ended = tasks(task(0, KILLED), task(1, KILLED))
    dying = [tasks(task(0, KILLED), task(1, KILLING)), ended]
    active = tasks(task(0, RUNNING), task(1, RUNNING), task(2, RUNNING))
    scheduler.on(KillTasks, ok())
    scheduler.on(GetTasksWithoutConfigs, lambda call: active if call.query.statuses == ACTIVE_STATES else dying.pop(0))
    ran = aurora("job", "kill", "--batch-size=2", f"{KEY}/0-1")
    assert ran.code == 0
    assert f" INFO] Killing {KEY}: 1 of 2\n" in ran.err


def details(
    status: JobUpdateStatus, *events: tuple[int, JobUpdateAction], only: frozenset[Range] = frozenset()
) -> JobUpdateDetails:
    before = InstanceTaskConfig(instances=frozenset({Range(0, 3)}))
    after = InstanceTaskConfig(instances=frozenset({Range(0, 5)}))
    instructions = JobUpdateInstructions(
        frozenset({before}), after, JobUpdateSettings(update_only_these_instances=only)
    )
    told = tuple(JobInstanceUpdateEvent(instance, number, action) for number, (instance, action) in enumerate(events))
    return JobUpdateDetails(JobUpdate(update(status), instructions), (), told)


UPDATING, UPDATED = JobUpdateAction.INSTANCE_UPDATING, JobUpdateAction.INSTANCE_UPDATED
ROLLING, ROLLED = JobUpdateAction.INSTANCE_ROLLING_BACK, JobUpdateAction.INSTANCE_ROLLED_BACK


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (details(FORWARD), (0, 6)),
        (details(FORWARD, (0, UPDATING), (0, UPDATED), (1, UPDATING)), (1, 6)),
        (details(FORWARD, (1, UPDATED), only=frozenset({Range(1, 2)})), (1, 2)),
        (details(BACK, (0, UPDATED), (1, UPDATED), (0, ROLLING)), (0, 2)),
        (details(BACK, (0, UPDATED), (1, UPDATED), (0, ROLLED)), (1, 2)),
    ],
)
def test_the_progress_of_an_update(shown: JobUpdateDetails, expected: tuple[int, int]) -> None:
    assert updates.progress(shown) == expected


def test_waiting_for_an_update_says_how_far_it_is(aurora: Runner, scheduler: FakeScheduler) -> None:
    scheduler.on(GetJobUpdateSummaries, answered(update(FORWARD)), answered(update(FORWARD)), answered(update(DONE)))
    shown = [details(FORWARD), details(FORWARD, (0, UPDATED))]
    scheduler.on(
        GetJobUpdateDetails,
        lambda call: ok(get_job_update_details_result=GetJobUpdateDetailsResult(None, (shown.pop(0),))),
    )
    ran = aurora("update", "wait", KEY, "u1")
    assert (ran.code, ran.out) == (0, "Current state ROLLING_FORWARD\nCurrent state ROLLED_FORWARD\n")
    assert ran.err == " INFO] ROLLING_FORWARD: 0 of 6\n INFO] ROLLING_FORWARD: 1 of 6\n"
