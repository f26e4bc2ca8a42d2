"""What the chapter on troubleshooting says that programs print, they print."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator

from aurorad.flags import Flags
from executor.flags import ExecutorFlags
from tests.e2e.walkthrough import DOCS, REPOSITORY

TROUBLESHOOTING = DOCS / "operations" / "troubleshooting.md"
ELSEWHERE = {
    "Watchdog timeout": "systemd's",
    "Killed": "the shell's",
    "Framework has not been registered within the tolerated delay.": "the original's",
}

IN_PIECES = {
    "state.db stands for position ... of a log that is empty now": "stands for position ... is empty now",
    "state.db stands for position ... of a log that now ends with position ...": "now ends with position",
    "attempt ... of ... to lead the log: no quorum of ... promised: ...": "to lead the log ... no quorum of",
    "Disk limit exceeded. ...": "limit exceeded.",
}
"""Of what is put together from several texts: these texts."""


def constants() -> Iterator[str]:
    """All texts in the sources, and those that are in several pieces as one, with a gap for what differs."""
    for program in ("aurorad", "client", "executor"):
        for path in (REPOSITORY / program).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value
                elif isinstance(node, ast.JoinedStr):
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
    yield (REPOSITORY / "packaging" / "bin" / "aurora-scheduler").read_text()


def symptoms() -> list[str]:
    """What stands in backquotes in the first column of tables, if it is a sentence or so."""
    cells = re.findall(r"(?m)^\| (.*?) \|", TROUBLESHOOTING.read_text())
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    return [text for text in quoted if " " in text and not text.startswith(("-", "/"))]


def test_every_flag_of_the_manual_is_one_of_ours_or_of_a_program_that_is_named() -> None:
    ours = {field.name for of in (Flags, ExecutorFlags) for field in dataclasses.fields(of)} | {"help", "flagfile"}
    text = "\n".join(path.read_text() for path in (*DOCS.glob("operations/*.md"), DOCS / "schedulers.md"))
    single = set(re.findall(r"`-([a-z]\w+)", text))
    assert sorted(single - ours) == ["gc_", "native_log_", "reconciliation_"], "families are written with three dots"


def test_the_ports_of_the_manual_are_the_defaults() -> None:
    flags, ports = Flags(), (DOCS / "operations" / "ports.md").read_text()
    assert f"| {flags.http_port} | `-http_port` |" in ports
    assert f"| {flags.observer_port} | `-observer_port` |" in ports


def test_every_text_is_in_the_sources() -> None:
    sources = "\n".join(constants())
    missing = []
    for symptom in symptoms():
        for piece in (piece.strip(" ;:") for piece in IN_PIECES.get(symptom, symptom).split("...")):
            if len(piece) > 3 and piece not in sources and symptom not in ELSEWHERE:
                missing.append(f"{symptom!r}: {piece!r}")
    assert missing == []
    assert len(symptoms()) > 40
