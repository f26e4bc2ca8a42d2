"""Numbers over time."""

import pytest
import trio

from aurorad.series import MOST_SERIES, Series, UnknownMetric
from aurorad.vars import Vars


def test_each_sample_has_its_time_and_what_there_was() -> None:
    stats, times = Vars(), iter([1000, 2000, 3000])
    series = Series(stats, lambda: next(times))
    stats.count("a", 3)
    stats.gauge("words", lambda: "none")
    series.sample()
    stats.count("a")
    stats.gauge("b", lambda: 0.5)
    series.sample()
    series.sample()
    assert series.names() == ["a", "b"]
    assert series.since(["a", "b"], 1000) == [(2000, {"a": 4, "b": 0.5}), (3000, {"a": 4, "b": 0.5})]
    assert series.since(["b"]) == [(1000, {"b": None}), (2000, {"b": 0.5}), (3000, {"b": 0.5})]
    with pytest.raises(UnknownMetric, match="words"):
        series.since(["words"])


def test_neither_samples_nor_series_become_more_than_may_be() -> None:
    stats = Vars()
    series = Series(stats, lambda: 0, interval_s=2.0, retention_s=10.0)
    for number in range(20):
        for name in range(200):
            stats.count(f"counter_{number}_{name}")
        series.sample()
    assert len(series.names()) == MOST_SERIES
    assert len(series.since([], -1)) == 5


async def test_it_is_sampled_regularly(autojump_clock: trio.testing.MockClock) -> None:
    series = Series(Vars(), lambda: round(trio.current_time() * 1000), interval_s=2.0)
    start = trio.current_time()
    with trio.move_on_after(7):
        await series.run()
    assert [time_ms - round(start * 1000) for time_ms, _ in series.since([], -1)] == [0, 2000, 4000, 6000]
