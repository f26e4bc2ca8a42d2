"""The table of states, and what begins an end."""

from __future__ import annotations

import logging

import pytest

from aurorad.lifecycle import NEXT, Ending, Lifecycle, State
from aurorad.vars import Vars

WAY = (State.PREPARING_STORAGE, State.STORAGE_PREPARED, State.LEADER_AWAITING_REGISTRATION, State.ACTIVE, State.DEAD)


def shown(stats: Vars) -> list[str]:
    return [state for state in State if stats.get(f"scheduler_lifecycle_{state}") == 1]


def test_gauges_show_the_one_state_it_is_in() -> None:
    stats = Vars()
    lifecycle = Lifecycle(stats)
    assert shown(stats) == ["IDLE"]
    for state in WAY:
        lifecycle.enter(state)
        assert shown(stats) == [state]
    assert {name for name in stats.snapshot() if name.startswith("scheduler_lifecycle_")} == {
        f"scheduler_lifecycle_{state}" for state in State
    }


@pytest.mark.parametrize("at", range(len(WAY) + 1))
def test_from_each_state_only_the_next_one_and_the_end_can_be_reached(at: int) -> None:
    way = (State.IDLE, *WAY)
    assert NEXT[way[at]] == {*way[at + 1 : at + 2], State.DEAD}
    for state in set(State) - NEXT[way[at]]:
        lifecycle = Lifecycle(Vars())
        for before in way[1 : at + 1]:
            lifecycle.enter(before)
        with pytest.raises(AssertionError, match=f"from {' to '.join(way[: at + 1])} there is no way to {state}"):
            lifecycle.enter(state)


def test_the_dead_may_die_again() -> None:
    lifecycle = Lifecycle(Vars())
    lifecycle.enter(State.DEAD)
    lifecycle.enter(State.DEAD)
    assert lifecycle.state is State.DEAD


def test_the_first_reason_to_end_is_the_one_that_counts(caplog: pytest.LogCaptureFixture) -> None:
    ending = Ending()
    ending.because("the log is lost")
    ending.because("leadership is lost")
    ending.told("SIGTERM")
    assert ending.begun.is_set()
    assert ending.why == "the log is lost"
    assert "leadership" not in caplog.text


def test_who_was_told_to_end_is_not_started_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ending = Ending()
    ending.told("SIGTERM")
    ending.told("SIGTERM")
    ending.because("leadership is lost")
    assert ending.why is None
    assert [record.getMessage() for record in caplog.records] == ["SIGTERM: stopping", "SIGTERM: already stopping"]
