from collections.abc import Iterator

import pytest

from tests.observer.host import OPEN


@pytest.fixture(autouse=True)
def runners_that_end_with_the_test() -> Iterator[None]:
    yield
    for task in list(OPEN):
        task.die()
