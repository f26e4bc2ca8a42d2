"""What disks do to files."""

from __future__ import annotations

from pathlib import Path


def newest(log: Path) -> Path:
    """The file of a log that was written to last and has something."""
    files = [path for path in log.iterdir() if path.is_file() and path.stat().st_size and "lock" not in path.name]
    return max(files, key=lambda path: path.stat().st_mtime_ns)


def flip_a_bit(file: Path) -> None:
    """In the middle of what was written there: what is allocated is zeros."""
    content = bytearray(file.read_bytes())
    used = len(content.rstrip(b"\0"))
    content[used // 2] ^= 0x10
    file.write_bytes(content)
