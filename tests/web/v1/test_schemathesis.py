"""The JSON API does what its OpenAPI document says; `make schemathesis` looks for longer."""

from __future__ import annotations

from pathlib import Path

from tests.web.v1.__main__ import judge


def test_a_live_scheduler_answers_as_its_document_says(tmp_path: Path) -> None:
    done = judge(tmp_path, "-n", "2", "--seed", "1", "--phases", "fuzzing")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
