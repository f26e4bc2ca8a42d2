from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aurorad import main
from tests.cluster.ledger import Ledger
from tests.cluster.network import why_not
from tests.cluster.schedulers import Site, site

Tell = Callable[..., tuple[int, str]]


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


@pytest.fixture(scope="module")
def ledger_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Of three schedulers that were initialized as an operator does it, started."""
    with site(tmp_path_factory.mktemp("site"), zookeepers=1) as them:
        for one in them.schedulers:
            initialize(one.log_folder)
        them.start()
        yield Ledger(them)


@pytest.fixture
def ledger(ledger_of_module: Ledger) -> Ledger:
    """All three run and have all."""
    ledger_of_module.site.start()
    ledger_of_module.site.settle()
    return ledger_of_module


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """A command of `aurorad`: its exit status, and what it says."""

    def tell(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        status = main.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return tell


def initialize(log: Path) -> None:
    assert main.main(["log", "initialize", f"--path={log}"]) == 0
