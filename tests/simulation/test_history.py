"""The judge of reads."""

from __future__ import annotations

from tests.simulation.history import History


def _history() -> History[str]:
    history = History("nothing")
    for state in ("one", "two", "three"):
        history.now += 1
        history.tell("job", state)
    return history


def test_a_read_may_show_what_is() -> None:
    assert list(_history().since("job", 3)) == ["three"]


def test_a_read_may_show_what_became_of_it_meanwhile_or_what_was_when_it_began() -> None:
    assert list(_history().since("job", 2)) == ["three", "two"]


def test_a_read_that_began_before_everything_may_show_nothing() -> None:
    assert list(_history().since("job", 0)) == ["three", "two", "one", "nothing"]


def test_what_was_never_told_of_is_as_before() -> None:
    assert list(_history().since("other", 3)) == ["nothing"]


def test_the_last_of_what_is_told_at_one_moment_counts() -> None:
    history = _history()
    history.tell("job", "four")
    assert next(history.since("job", 3)) == "four"
