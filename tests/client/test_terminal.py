"""What the command prints."""

from __future__ import annotations

import io

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
