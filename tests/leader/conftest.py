"""Fixtures that several tests here share."""

from tests.zookeeper import ensemble, ensemble_servers, zookeeper, zookeeper_server  # noqa: F401  fixtures
