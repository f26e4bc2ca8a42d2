"""What tests of the Mesos engine share."""

import pytest
from trio.testing import MockClock

from tests.zookeeper import zookeeper, zookeeper_server  # noqa: F401  fixtures


@pytest.fixture
def quick_clock() -> MockClock:
    """Waits are over as soon as nothing else happens, which sockets of this machine show within milliseconds."""
    return MockClock(autojump_threshold=0.03)
