"""The log under everything that may go wrong, by chance; `python -m tests.log.storms` runs more."""

from __future__ import annotations

import pytest

from tests.log.storms import growth, storm


@pytest.mark.parametrize("seed", range(25))
def test_three_members_lose_nothing(seed: int) -> None:
    assert storm(seed, 3).acknowledged


@pytest.mark.parametrize("seed", range(10))
def test_disks_may_be_lost_one_after_the_other(seed: int) -> None:
    assert storm(seed, 3, restless=True).acknowledged


@pytest.mark.parametrize("seed", range(5))
def test_three_members_become_five(seed: int) -> None:
    assert len(growth(seed).nodes) == 5


@pytest.mark.parametrize("seed", range(10))
def test_five_members_lose_nothing(seed: int) -> None:
    assert storm(seed, 5, seconds=20).acknowledged
