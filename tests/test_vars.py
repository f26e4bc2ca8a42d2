from __future__ import annotations

from aurorad.vars import Vars


def test_a_counter_starts_at_zero_and_grows() -> None:
    stats = Vars()
    assert stats.get("tasks") == 0
    stats.count("tasks")
    stats.count("tasks", 4)
    assert stats.get("tasks") == 5


def test_a_declared_counter_shows_before_it_is_counted_and_keeps_what_it_has() -> None:
    stats = Vars()
    stats.declare("a", "b")
    stats.count("a")
    stats.declare("a")
    assert stats.snapshot() == {"a": 1, "b": 0}


def test_a_gauge_is_read_when_asked_for() -> None:
    stats, values = Vars(), [1]
    stats.gauge("level", lambda: values[-1])
    stats.gauge("version", lambda: "0.1")
    values.append(7)
    assert stats.get("level") == 7
    assert stats.snapshot() == {"level": 7, "version": "0.1"}


def test_a_timed_event_is_counted_and_its_nanoseconds_summed() -> None:
    stats = Vars()
    stats.observe("append", 0.25)
    stats.observe("append", 0.5)
    assert (stats.get("append_events"), stats.get("append_nanos_total")) == (2, 750_000_000)


def test_rates_are_those_since_the_reading_before() -> None:
    seconds = [0.0]
    stats = Vars(lambda: seconds[-1])
    stats.declare_sliding("penalty", "ms")
    names = ("events", "ms_total", "events_per_sec", "ms_total_per_sec", "ms_per_event")

    def read() -> list[object]:
        values = stats.snapshot()
        assert list(values) == sorted(f"penalty_{name}" for name in names)
        return [values[f"penalty_{name}"] for name in names]

    assert read() == [0, 0, 0, 0, 0]
    stats.slide("penalty", "ms", 300)
    stats.slide("penalty", "ms", 100, events=3)
    seconds.append(0.5)
    assert read() == [4, 400, 0, 0, 0]  # the same rates for a second
    seconds.append(2.0)
    assert read() == [4, 400, 2, 200, 100]
    seconds.append(12.0)
    assert read() == [4, 400, 0, 0, 0]


def test_rates_are_there_from_the_beginning() -> None:
    stats = Vars(lambda: 0.0)
    stats.snapshot()
    stats.declare_sliding("penalty", "ms")
    stats.observe("append", 0.25)
    values = stats.snapshot()
    assert (values["penalty_ms_per_event"], values["append_nanos_per_event"]) == (0, 0)


def test_all_values_come_sorted() -> None:
    stats = Vars()
    for name in ("c", "a", "b"):
        stats.count(name)
    assert list(stats.snapshot()) == ["a", "b", "c"]


def test_names_show_only_characters_that_names_may_have() -> None:
    stats = Vars()
    stats.count("tasks_LOST_ops/prod/web.1")
    stats.count("rack a:b")
    assert list(stats.snapshot()) == ["rack_a_b", "tasks_LOST_ops/prod/web.1"]


def test_two_daemons_share_nothing() -> None:
    one, other = Vars(), Vars()
    one.count("a")
    assert other.snapshot() == {}


def test_a_family_is_read_anew_each_time() -> None:
    stats = Vars()
    values = {"b": 1}
    stats.family(lambda: values)
    stats.count("a")
    assert stats.snapshot() == {"a": 1, "b": 1}
    assert (stats.get("b"), stats.get("nothing")) == (1, 0)
    values.clear()
    assert stats.snapshot() == {"a": 1}
