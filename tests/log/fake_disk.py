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
        self.is_unreadable = False

    def size(self) -> int:
        return len(self.now)

    def read(self, size: int, offset: int = 0) -> bytes:
        if self.is_unreadable:
            raise OSError(errno.EIO, "Input/output error")
        return bytes(self.now[offset : offset + size])

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
        self._disk.room += max(0, len(self.now) - size)
        del self.now[size:]

    def allocate(self, size: int) -> None:
        growth = max(0, size - len(self.now))
        if self._disk.step():
            self.now += bytes(self._disk.rng.randrange(growth + 1))
            raise Down
        if growth > self._disk.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._disk.room -= growth
        self.now += bytes(growth)

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
        step = self._disk.sector
        for start in range(0, size, step):
            if rng.random() < 0.5:
                sector = self.now[start : min(start + step, size)]
                content[start : start + len(sector)] = sector
        return bytes(content)


class FakeDisk:
    def __init__(
        self, rng: random.Random | None = None, files: dict[str, bytes] | None = None, sector: int = SECTOR
    ) -> None:
        self.rng = rng or random.Random(0)
        self.sector = sector
        self.files = {name: FakeFile(self, content) for name, content in (files or {}).items()}
        self.durable_files = dict(self.files)
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
        self.room += len(self.files.pop(name).now)

    def rename(self, old: str, new: str) -> None:
        if self.step():
            raise Down
        self.files[new] = self.files.pop(old)

    def sync(self) -> None:
        if self.step():
            raise Down
        self.durable_files = dict(self.files)

    def close(self) -> None:
        self.is_open = False

    def after_process_crash(self) -> FakeDisk:
        """Everything that was written is there, synced or not."""
        survivor = FakeDisk(self.rng, {name: bytes(file.now) for name, file in self.files.items()}, self.sector)
        for name, file in self.files.items():
            survivor.files[name].durable = file.durable
        names = {id(file): name for name, file in self.files.items()}
        survivor.durable_files = {
            durable: survivor.files[names[id(file)]] if id(file) in names else FakeFile(survivor, file.durable)
            for durable, file in self.durable_files.items()
        }
        return survivor

    def after_power_loss(self) -> FakeDisk:
        """Each file has its name, or the one that it had when names were synced: so it may be gone or back."""
        had = {id(file): name for name, file in self.durable_files.items()}
        has = {id(file): name for name, file in self.files.items()}
        files = {id(file): file for file in (*self.durable_files.values(), *self.files.values())}
        kept: dict[str, bytes] = {}
        for key, file in files.items():
            name = (had if self.rng.random() < 0.5 else has).get(key)
            if name is not None and (name not in kept or has.get(key) == name):
                kept[name] = file.after_power_loss(self.rng)
        return FakeDisk(self.rng, kept, self.sector)
