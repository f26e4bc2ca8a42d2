"""Manual pages, as man itself reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from client import described, manual
from client.described import Program


@pytest.mark.parametrize("program", [described.aurora(), described.aurora_admin()], ids=lambda program: program.name)
def test_man_shows_every_command_and_option_without_complaint(program: Program, tmp_path: Path) -> None:
    page = tmp_path / f"{program.name}.1"
    page.write_text(manual.page(program, "1.0", [("files", manual.escaped("~/.aurora/clusters.json"))]))
    shown = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", str(page)], capture_output=True, text=True, check=True
    )
    assert shown.stderr == ""
    text = " ".join(shown.stdout.split())
    for command in program.commands:
        assert " ".join(command.words) in text
        for option in command.options:
            assert all(name in text for name in option.names), (command.words, option.names)


@pytest.mark.parametrize("text", ["a\\b", ".PP", "'quoted'", "--opt", "line\n.TH x"])
def test_text_is_shown_as_it_is(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.1"
    page.write_text(f".TH X 1\n.SH NAME\n{manual.escaped(text)}\n")
    shown = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", str(page)], capture_output=True, text=True, check=True
    ).stdout
    assert " ".join(text.split()) in " ".join(shown.split())
