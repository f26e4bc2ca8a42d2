"""A job file is its author's own code: whoever runs on a cluster never evaluates one, nor loads what could."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SHOW = "import sys\n{}\nprint([name for name in sys.modules if name.startswith(('pystachio', 'aurorad.jobfile'))])"


@pytest.mark.parametrize(
    "code",
    [
        "import aurorad.main, aurorad.daemon, aurorad.web.app, aurorad.observer.observer",
        "import executor.main, executor.launcher, executor.execution",
        "import client.main; assert client.main.run(['version'], None) == 0",
    ],
    ids=["daemon", "executor", "aurora version"],
)
def test_nothing_of_the_language_is_loaded(code: str) -> None:
    ran = subprocess.run([sys.executable, "-c", _SHOW.format(code)], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
