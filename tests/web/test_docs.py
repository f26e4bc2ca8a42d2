"""The examples of the documentation go as they are written there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.daemon import running
from tests.contract.scenario import Setup
from tests.web.console import examples, run

DOCS = Path(__file__).parents[2] / "docs"
AGENTS = tuple(f"agent-{n} host-{n} 16 65536 500000 31000-32000 rack=r{n}" for n in range(3))


@pytest.mark.parametrize("page", ["api.md", "http.md"])
def test_every_example_goes_as_written(page: str, tmp_path: Path) -> None:
    found = examples(DOCS / page)
    assert found
    setup = Setup(AGENTS, (f"-backup_dir={tmp_path / 'backups'}",), False)
    (folder := tmp_path / "here").mkdir()
    with running(setup, tmp_path) as daemon:
        wrong = [text for example in found if (text := run(example, folder, daemon.scheduler)) is not None]
    assert not wrong, "\n\n".join(wrong)
