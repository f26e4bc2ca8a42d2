"""Random trees with links, random requests: an answer is what a regular file inside has, or 404."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.observer.host import TaskOnDisk, served
from tests.observer.test_walk import BEYOND, grown, trees

STEP = st.sampled_from(
    [b"a", b"b", b"c", b"..", b".", b"", b"a\nb", "\u202ex".encode(), b"%2e", b"secret", b"\xff", b"\0"]
)


@st.composite
def addresses(draw: st.DrawFn) -> str:
    """The end of an address: some of its characters, slashes among them, written as %XX, now and then twice."""
    path = b"/".join(draw(st.lists(STEP, min_size=1, max_size=6)))
    spelled = "".join(f"%{byte:02x}" if draw(st.booleans()) else quote_from_bytes(bytes([byte])) for byte in path)
    return spelled.replace("%", "%25") if draw(st.integers(0, 9)) == 0 else spelled


@settings(max_examples=15)
@given(trees(), st.lists(addresses(), min_size=3, max_size=8))
def test_whatever_is_asked_for_only_what_is_inside_is_answered(
    tmp_path_factory: pytest.TempPathFactory, tree: list[tuple[str, str, str]], asked: list[str]
) -> None:
    base = tmp_path_factory.mktemp("fuzz")
    task = TaskOnDisk(base / "agent", "t1").begin()
    task.sandbox.rmdir()
    with grown(base, tree) as sandbox:
        sandbox.rename(task.sandbox)  # what links out of it lead to stays where it was
        answers = trio.run(_ask, base / "agent", asked)
    task.die()
    inside = set(_contents(task.sandbox))
    for address, status, body in answers:
        assert status in (200, 303, 404), address
        assert BEYOND.encode() not in body, address
        if "/download/" in address and status == 200:
            assert body in inside, address


async def _ask(agent: Path, asked: list[str]) -> list[tuple[str, int, bytes]]:
    answers = []
    async with served(agent) as web:
        for address in asked:
            for route in ("download", "file", "browse", "filedata"):
                head, body = await web.get(f"/{route}/t1/{address}")
                answers.append((f"/{route}/t1/{address}", int(head.split()[1]), body))
    return answers


def _contents(sandbox: Path) -> list[bytes]:
    return [
        Path(folder, name).read_bytes()
        for folder, _, names in os.walk(sandbox)
        for name in names
        if stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode)
    ]
