"""What the command prints."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from client.terminal import Terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_others_wrote_cannot_command_the_terminal() -> None:
    screen = Screen()
    Terminal(screen, screen).out("lost:\tit said \x1b]0;ann\x07\x9b2J\r\nzoë")
    assert screen.getvalue() == "lost:\tit said \\x1b]0;ann\\x07\\x9b2J\\x0d\nzoë\n"


def test_a_file_gets_it_as_it_is() -> None:
    file = io.StringIO()
    Terminal(file, file).out("\x1b[1m")
    assert file.getvalue() == "\x1b[1m\n"


def test_what_the_terminal_has_no_character_for_is_spelled(tmp_path: Path) -> None:
    file = tmp_path / "hello.aurora"
    file.write_text(
        "one = Process(name = 'one', cmdline = 'echo zo\u00eb \u2192')\n"
        "task = Task(processes = [one], resources = Resources(cpu = 1, ram = MB, disk = MB))\n"
        "jobs = [Job(cluster = 'c', role = 'r', environment = 'e', name = 'n', task = task)]\n",
        encoding="utf-8",
    )
    words = [sys.executable, "-P", "-m", "client.main", "job", "inspect", "c/r/e/n", str(file)]
    environ = {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONIOENCODING": "latin-1"}
    ran = subprocess.run(words, capture_output=True, env=environ, check=False)
    assert (ran.returncode, b"echo zo\xeb \\u2192\n" in ran.stdout) == (0, True)
