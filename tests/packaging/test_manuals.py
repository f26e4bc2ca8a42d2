"""`make manuals`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_every_program_has_a_page_that_man_takes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, REPOSITORY / "packaging" / "manuals.py", tmp_path], check=True, cwd=REPOSITORY)
    pages = sorted(page.name for page in tmp_path.iterdir())
    daemons = ["aurora-observer.8", "aurora-scheduler.8", "aurora-single.8"]
    assert pages == [*daemons, "aurora.1", "aurora_admin.1", "aurorad.8", "thermos.1"]
    for page, words in (("aurorad.8", "-http_port=8081"), ("thermos.1", "simplerun")):
        shown = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", str(tmp_path / page)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert (shown.stderr, words in shown.stdout) == ("", True)
