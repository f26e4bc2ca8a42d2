"""What holds for all tests."""

import pytest
from hypothesis import settings

settings.register_profile("aurorad", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("aurorad")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=("local", "mesos"),
        default="local",
        help="where tasks of end-to-end tests run; mesos: on a real one, with tests that need an engine alone",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "local_engine(why): about the local engine alone, and why")
    config.addinivalue_line("markers", "real_mesos: needs a real Mesos of its own")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Each test runs once: with the local engine, unless it needs Mesos; with Mesos those that need any engine."""
    with_mesos = config.getoption("--engine") == "mesos"
    left_out = []
    for item in items:
        needs_mesos = item.get_closest_marker("real_mesos") is not None
        needs_any = "workers" in getattr(item, "fixturenames", ())
        if (needs_mesos and not with_mesos) or (with_mesos and not (needs_mesos or needs_any)):
            left_out.append(item)
        elif with_mesos and (local := item.get_closest_marker("local_engine")):
            item.add_marker(pytest.mark.skip(reason=f"the local engine's: {local.args[0]}"))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
