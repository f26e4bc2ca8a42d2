import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver

from tests.e2e.cluster import Cluster, Workers, cluster
from tests.mesos.workers import mesos_workers
from tests.zookeeper import zookeeper, zookeeper_server  # noqa: F401  fixtures


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach: where the tests run as root, tasks run as their role's user."""
    with tempfile.TemporaryDirectory(prefix="aurorad-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def workers(request: pytest.FixtureRequest) -> Iterator[Workers | None]:
    """Where tasks run, as ``--engine`` says: None is the daemon's own machine."""
    if request.config.getoption("--engine") == "local":
        yield None
    else:
        with mesos_workers() as them:
            yield them


NewCluster = Callable[..., AbstractContextManager[Cluster]]


@pytest.fixture(scope="session")
def new_cluster(workers: Workers | None) -> NewCluster:
    """Called with a folder and flags: a started cluster on that engine, which leaves nothing running behind."""
    return partial(cluster, workers=workers)


@pytest.fixture
def devcluster(folder: Path, new_cluster: NewCluster) -> Iterator[Cluster]:
    """A cluster of its own for one test."""
    with new_cluster(folder) as it:
        yield it


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="aurorad-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="module")
def shared_cluster(shared_folder: Path, new_cluster: NewCluster) -> Iterator[Cluster]:
    """A cluster for tests of one module that do not disturb each other."""
    with new_cluster(shared_folder) as it:
        yield it


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """Debian's chromium, headless. No longer than a module: tests of executors, between two, end all children."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,1000",
        "--host-resolver-rules=MAP hostile.example 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()
