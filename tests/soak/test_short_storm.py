"""A few seconds of what `make soak` does for twenty minutes."""

from pathlib import Path

from tests.e2e.conftest import folder as folder
from tests.soak.storms import withstand


def test_a_short_storm_leaves_what_was_promised_and_nothing_else(folder: Path) -> None:
    withstand(folder, seed=1, seconds=4.0)
