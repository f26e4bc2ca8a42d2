"""The JSON API does what its OpenAPI document says; `make schemathesis` looks for longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.v1.__main__ import judge


@pytest.mark.parametrize("known", [False, True], ids=["of anything", "of a job that there is"])
def test_a_live_scheduler_answers_as_its_document_says(known: bool, tmp_path: Path) -> None:
    mode = "positive" if known else "all"
    done = judge(tmp_path, "-n", "2", "--seed", "1", "--phases", "fuzzing", "--mode", mode, known=known)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
