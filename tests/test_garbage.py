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


def test_what_stays_is_not_searched_while_it_is_made() -> None:
    assert gc.isenabled()
    with garbage.making_what_stays():
        assert not gc.isenabled()
        with garbage.making_what_stays():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_there_is_can_be_left_alone() -> None:
    try:
        frozen = gc.get_freeze_count()
        garbage.leave_alone_what_there_is()
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()
