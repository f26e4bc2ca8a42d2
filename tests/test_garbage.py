from __future__ import annotations

import gc

import pytest
import trio

from aurorad import garbage


async def test_what_survives_a_long_search_is_left_out_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "LONG_S", -1.0)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(garbage.leave_long_lived_alone)
            await trio.testing.wait_all_tasks_blocked()
            frozen = gc.get_freeze_count()
            living = [[number] for number in range(1000)]
            gc.collect()
            assert gc.get_freeze_count() >= frozen + len(living)
            nursery.cancel_scope.cancel()
        assert not [call for call in gc.callbacks if getattr(call, "__module__", "") == garbage.__name__]
    finally:
        gc.unfreeze()


async def test_a_short_search_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "LONG_S", 1000.0)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(garbage.leave_long_lived_alone)
            await trio.testing.wait_all_tasks_blocked()
            frozen = gc.get_freeze_count()
            gc.collect()
            assert gc.get_freeze_count() <= frozen
            nursery.cancel_scope.cancel()
    finally:
        gc.unfreeze()
