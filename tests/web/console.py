"""Examples of the documentation, run. In ``console`` blocks ``$ `` begins a command; ``...`` stands for anything."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Example(NamedTuple):
    command: str
    expected: str


def examples(page: Path) -> list[Example]:
    """In the order in which they stand there: later ones may build on those before."""
    found: list[Example] = []
    for block in _BLOCK.findall(page.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, *rest = part.splitlines()
            more = [line[2:] for line in rest if line.startswith("> ")]
            expected = [line for line in rest if not line.startswith("> ")]
            found.append(Example("\n".join((first, *more)), "\n".join(expected)))
    return found


def run(example: Example, folder: Path, address: str) -> str | None:
    """What is wrong, None if it goes as the page says. `address` is in the place of ``localhost:8081``."""
    command = example.command.replace("localhost:8081", address)
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60)
    said = done.stdout.replace("\r", "").strip()
    expected = example.expected.strip()
    pattern = ".*".join(map(re.escape, expected.split("...")))
    if re.fullmatch(pattern, said, re.DOTALL):
        return None
    return f"$ {example.command}\nexpected: {expected}\nsaid:     {said[:2000]}{done.stderr}"
