"""Fixtures that tests of engines share with others."""

from tests.control_groups import hierarchy  # noqa: F401  a fixture
