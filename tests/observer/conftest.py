from collections.abc import Iterator

import pytest

from aurorad.observer import follower
from tests.observer.host import OPEN


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that is missed is gone."""
    monkeypatch.setattr(follower, "PATIENCE_S", 0.0)


@pytest.fixture(autouse=True)
def runners_that_end_with_the_test() -> Iterator[None]:
    yield
    for task in list(OPEN):
        task.die()
