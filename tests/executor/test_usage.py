"""What a task uses, read from real processes and files."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aurorad import procfs
from executor.resources import memory_used
from executor.usage import Memory, memory, proportional_memory, sandbox_sizes

MB = 1 << 20


@contextmanager
def child(code: str) -> Iterator[int]:
    """A Python process that has printed a line."""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process.pid
        process.kill()


def test_memory_is_what_is_resident_and_what_of_it_is_anonymous() -> None:
    block = b"x" * 16 * MB
    before = memory(os.getpid())
    with mmap.mmap(-1, 16 * MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as private:
        private.write(block)
        private_only = memory(os.getpid())
        with mmap.mmap(-1, 16 * MB, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS) as shared:
            shared.write(block)
            both = memory(os.getpid())
    near = 2 * MB
    assert abs(private_only.resident - before.resident - 16 * MB) < near
    assert abs(private_only.anonymous - before.anonymous - 16 * MB) < near
    assert abs(both.resident - private_only.resident - 16 * MB) < near
    assert abs(both.anonymous - private_only.anonymous) < near


async def test_forks_share_proportionally() -> None:
    code = "x = b'x' * (32 << 20); import os, time; [os.fork() for _ in range(2)]; print(flush=True); time.sleep(100)"
    with child(code) as pid:
        tree: list[int] = []
        while len(tree) < 4:
            tree = [pid, *(one.pid for one in procfs.tree(pid))]
        assert sum(memory(one).resident for one in tree) > 128 * MB
        assert 32 * MB < sum(map(proportional_memory, tree)) < 64 * MB
        assert await memory_used(tree, limit=64 * MB) < 64 * MB
        for one in tree:
            if one != pid:
                os.kill(one, 9)


def test_a_process_that_is_gone_uses_nothing() -> None:
    with child("print()") as pid:
        pass
    assert memory(pid) == Memory(0, 0)
    assert proportional_memory(pid) == 0


def test_a_removed_file_counts_until_nobody_has_it_open(tmp_path: Path) -> None:
    sandbox, elsewhere = tmp_path / "sandbox", tmp_path / "elsewhere"
    sandbox.mkdir()
    elsewhere.mkdir()
    (sandbox / "there").write_bytes(b"x" * 8192)

    def used() -> int:
        return sum(sandbox_sizes(sandbox, [os.getpid(), os.getpid(), 0]))

    with (sandbox / "log").open("wb") as log, (elsewhere / "log").open("wb") as other:
        for file in (log, other):
            file.write(b"x" * 65536)
            file.flush()
        assert used() == 8192 + 65536
        (sandbox / "log").unlink()
        (elsewhere / "log").unlink()
        again = os.dup(log.fileno())
        assert used() == 8192 + 65536, "once, however often it is open; and not what was never in the sandbox"
        os.close(again)
        with (sandbox / "named (deleted)").open("wb") as named:
            named.write(b"x" * 4096)
            named.flush()
            assert used() == 8192 + 65536 + 4096
    assert used() == 8192 + 4096


def test_the_sandbox_is_found_behind_a_link_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "real" / "sandbox").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    sandbox = tmp_path / "link" / "sandbox"
    with (sandbox / "log").open("wb") as log:
        log.write(b"x" * 65536)
        log.flush()
        (sandbox / "log").unlink()
        assert sum(sandbox_sizes(sandbox, [os.getpid()])) == 65536
