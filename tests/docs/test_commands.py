"""Every command of the operations manual is run as it stands there, or the manual's source says why not."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.walkthrough import DOCS, World, world

MANUAL = DOCS / "operations"
CHAPTERS = sorted(path.name for path in MANUAL.glob("*.md"))
LANGUAGES = {"sh": "commands, to be run", "text": "what is shown, or a file", "json": "a file"}

JOB = """
jobs = [Service(cluster = 'devcluster', role = 'www-data', environment = 'prod', name = 'hello',
    task = SimpleTask('hello', 'sleep 1000'))]
"""


_FENCED = re.compile(
    r"(?ms)^(?:[ ]*<!-- not run: (?P<reason>[^\n]+?) -->\n)?"
    r"(?P<indent>[ ]*)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```\n"
)


class Block(NamedTuple):
    """A fenced block, as it stands in a list perhaps."""

    line: int
    language: str
    text: str
    not_run: str
    """Why it is not; empty if it is."""


def blocks(text: str) -> Iterator[Block]:
    for found in _FENCED.finditer(text):
        lines = [line.removeprefix(found["indent"]) for line in found["text"].splitlines(keepends=True)]
        line = text.count("\n", 0, found.start()) + 1
        yield Block(line, found["language"], "".join(lines), found["reason"] or "")


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A cluster of pretended hosts with a job on it."""
    with world(tmp_path_factory.mktemp("operator")) as it:
        it.run("systemctl start aurora-scheduler")
        (it.root / "hello.aurora").write_text(JOB)
        it.run("aurora job create devcluster/www-data/prod/hello hello.aurora")
        yield it


def answers(operator: World) -> bool:
    try:
        urllib.request.urlopen(f"http://localhost:{operator.port}/leaderhealth", timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_the_manual_tells_to_type_works(chapter: str, operator: World) -> None:
    if not answers(operator):  # a chapter before this one told to stop it
        operator.run("systemctl start aurora-scheduler")
    for block in blocks((MANUAL / chapter).read_text()):
        if block.language == "sh" and not block.not_run:
            told = operator.run(block.text.replace("worker1.example", "host-1"), pipefail=False)
            assert told.strip() or re.search(r"mkdir|systemctl", block.text), f"{chapter}:{block.line} says nothing"
            if "quitquitquit" in block.text:  # it answers before it has ended
                operator.run("while kill -0 $(cat supervisor) 2>/dev/null; do sleep 0.05; done")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_whatever_looks_like_a_command_is_a_block_of_commands(chapter: str) -> None:
    text = (MANUAL / chapter).read_text()
    found = list(blocks(text))
    assert len(found) == text.count("```") / 2, "a block that cannot be read"
    assert [block for block in found if block.language not in LANGUAGES] == []
    assert [block for block in found if block.not_run and block.language != "sh"] == []
    assert text.count("<!-- not run:") == sum(bool(block.not_run) for block in found)
    outside = re.sub(r"(?ms)^[ ]*```.*?^[ ]*```\n", "", text)
    assert re.findall(r"(?m)(?<=\n\n) {4}\S.*", outside) == [], "an indented block says not what it is"


def test_what_is_not_run_is_run_elsewhere_or_cannot_be() -> None:
    reasons = {
        (path.name, block.line): block.not_run for path in MANUAL.glob("*.md") for block in blocks(path.read_text())
    }
    named = [name for reason in reasons.values() for name in re.findall(r"tests/[\w/.]+\b|\.ci/run", reason)]
    assert [name for name in named if not (Path(DOCS.parent) / name).exists()] == []
