"""A machine for a scheduler, and how fast its disk is."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.log.fake_disk import FakeDisk
from tests.simulation.member import Member
from tests.simulation.node import Node


class Seat:
    """A machine for a scheduler: its disk, and who runs there."""

    def __init__(self, address: str, disk: FakeDisk) -> None:
        self.address = address
        self.disk = disk
        self.node: Node | Member | None = None
        self.life = 0
        """How many ran there."""
        self.exchange: Callable[[FakeDisk], FakeDisk] | None = None
        """What the next one finds in the place of the disk that is left."""
        self.harmed_in = -1
        """The life whose disk may be damaged without anybody having noticed."""
        self.forgot_to = 0
        """The end that its log had before an old disk was put back."""
        self.clock_ms = 0
        """How far its clock is ahead of others'."""


class DiskPace:
    """How long the disk takes."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.slowness = 1.0

    def draw_s(self) -> float:
        return self._rng.random() * 0.002 * self.slowness
