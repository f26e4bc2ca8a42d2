from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.network import why_not
from tests.cluster.schedulers import Site, site


@pytest.fixture(autouse=True, scope="session")
def _network_namespaces() -> None:
    why = why_not()
    if why is not None:
        pytest.skip(why)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Site]:
    """Three schedulers that begin a log, started."""
    with site(tmp_path, "-native_log_initialize") as them:
        them.start()
        yield them
