"""A disk in memory that can lose what was not synced, tear writes, run full, and go down at any call."""

from __future__ import annotations

import errno
import random

SECTOR = 64  # smaller than a real one, so that small batches are torn too


class Down(Exception):
    """The machine, or the process, is gone."""


class FakeFile:
    def __init__(self, disk: FakeDisk, content: bytes = b"") -> None:
        self._disk = disk
        self.durable = content
        self.now = bytearray(content)

    def size(self) -> int:
        return len(self.now)

    def read(self, size: int) -> bytes:
        return bytes(self.now[:size])

    def write(self, data: bytes, offset: int) -> None:
        part = data[: self._disk.rng.randrange(len(data) + 1)]
        if self._disk.step():
            self._put(part, offset)
            raise Down
        growth = max(0, offset + len(data) - len(self.now))
        if growth > self._disk.room:
            self._put(part, offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        self._disk.room -= growth
        self._put(data, offset)

    def truncate(self, size: int) -> None:
        if self._disk.step():
            raise Down
        del self.now[size:]

    def sync(self) -> None:
        if self._disk.step():
            raise Down
        if self._disk.sync_error is not None:
            self.durable = bytes(self.now)  # what an error says nothing about
            raise OSError(self._disk.sync_error, "Input/output error")
        self.durable = bytes(self.now)
        self._disk.syncs += 1

    def close(self) -> None:
        pass

    def _put(self, data: bytes, offset: int) -> None:
        self.now[offset : offset + len(data)] = data

    def after_power_loss(self, rng: random.Random) -> bytes:
        """Of what was not synced, any sectors may be there and any size up to the present one."""
        low, high = sorted((len(self.durable), len(self.now)))
        size = rng.choice((low, high, rng.randint(low, high)))
        content = bytearray(self.durable[:size].ljust(size, b"\0"))
        for start in range(0, size, SECTOR):
            if rng.random() < 0.5:
                sector = self.now[start : min(start + SECTOR, size)]
                content[start : start + len(sector)] = sector
        return bytes(content)


class FakeDisk:
    def __init__(self, rng: random.Random | None = None, files: dict[str, bytes] | None = None) -> None:
        self.rng = rng or random.Random(0)
        self.files = {name: FakeFile(self, content) for name, content in (files or {}).items()}
        self.durable_names = set(self.files)
        self.removed: dict[str, FakeFile] = {}
        self.room = 1 << 40
        self.sync_error: int | None = None
        self.syncs = 0
        self.steps_left: int | None = None
        """After how many more calls that change something it goes down."""
        self.is_open = True

    def step(self) -> bool:
        """Whether this call is the last."""
        if self.steps_left is None:
            return False
        self.steps_left -= 1
        return self.steps_left < 0

    def describe(self, name: str) -> str:
        return f"disk/{name}"

    def names(self) -> list[str]:
        return list(self.files)

    def open(self, name: str) -> FakeFile:
        if name not in self.files:
            if self.step():
                raise Down
            self.files[name] = FakeFile(self)
        return self.files[name]

    def remove(self, name: str) -> None:
        if self.step():
            raise Down
        self.removed[name] = self.files.pop(name)

    def sync(self) -> None:
        if self.step():
            raise Down
        self.durable_names = set(self.files)
        self.removed = {}

    def close(self) -> None:
        self.is_open = False

    def after_process_crash(self) -> FakeDisk:
        """Everything that was written is there, synced or not."""
        survivor = FakeDisk(self.rng, {name: bytes(file.now) for name, file in self.files.items()})
        for name, file in self.files.items():
            survivor.files[name].durable = file.durable
        survivor.durable_names &= self.durable_names
        return survivor

    def after_power_loss(self) -> FakeDisk:
        """Created names that were not synced may be gone, removed ones be back."""
        kept = {
            name: file for name, file in self.files.items() if name in self.durable_names or self.rng.random() < 0.5
        }
        back = {name: file for name, file in self.removed.items() if self.rng.random() < 0.5}
        return FakeDisk(self.rng, {name: file.after_power_loss(self.rng) for name, file in (kept | back).items()})
