from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.apache import Apache, compiled


@pytest.fixture(scope="session")
def apache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apache]:
    """Needs Debian's thrift-compiler, which CI installs."""
    folder: Path = tmp_path_factory.mktemp("gen")
    try:
        with compiled(folder) as made:
            yield made
    except FileNotFoundError:
        pytest.fail("no thrift compiler: apt-get install thrift-compiler")
