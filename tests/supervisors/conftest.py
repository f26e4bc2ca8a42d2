from tests.e2e.conftest import folder  # noqa: F401  fixture
from tests.zookeeper import zookeeper, zookeeper_server  # noqa: F401  fixtures
