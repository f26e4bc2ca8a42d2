"""Links of all documents lead somewhere within the repository."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def listed(pattern: str) -> list[str]:
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [name for name in files.stdout.splitlines() if (REPOSITORY / name).exists()]


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^[ ]*```.*?^[ ]*```\n|(?:(?<=\n\n)|\A)(?:    [^\n]*\n)+", "", text)


@cache
def anchors(document: Path) -> frozenset[str]:
    """As forges name headings: lower case, no punctuation, dashes for spaces; a number behind equal ones."""
    seen: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"(?m)^#{1,6} (.+?)\s*$", without_code(document.read_text())):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = seen.get(anchor, 0)
        seen[anchor] = number + 1
        found.add(f"{anchor}-{number}" if number else anchor)
    return frozenset(found)


def broken(document: Path) -> Iterator[str]:
    for target in re.findall(
        r"(?<!\!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)", without_code(document.read_text())
    ):
        link = target[0] or target[1]
        if re.match(r"[a-z]+:", link):
            continue  # another place's
        path, _, anchor = link.partition("#")
        there = (document.parent / path).resolve() if path else document
        if not there.exists():
            yield f"{link}: there is no such file"
        elif anchor and anchor not in anchors(there):
            yield f"{link}: there is no such heading"


@pytest.mark.parametrize("name", listed("*.md"))
def test_every_link_of_a_document_leads_somewhere(name: str) -> None:
    assert list(broken(REPOSITORY / name)) == []


def test_files_that_name_a_document_name_one_that_is_there() -> None:
    named = {
        (name, document)
        for pattern in ("*.py", "*.service", "*.yml", "*.json", "*.aurora", "Makefile", "packaging/*")
        for name in listed(pattern)
        for document in re.findall(r"\bdocs/[\w/\-]+\.md\b", (REPOSITORY / name).read_text(errors="replace"))
    }
    assert [each for each in sorted(named) if not (REPOSITORY / each[1]).exists()] == []


def test_all_documents_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [REPOSITORY / "README.md"]
    while waiting:
        document = waiting.pop()
        if document in reached or document.suffix != ".md":
            continue
        reached.add(document)
        links = re.findall(r"\]\(([^)\s#:]+)", without_code(document.read_text()))
        waiting += [(document.parent / link).resolve() for link in links]
    documents = {REPOSITORY / name for name in listed("docs/*.md")}
    assert sorted(map(str, documents - reached)) == []
