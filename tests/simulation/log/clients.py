"""Those who use the log: each appends or reads, one thing at a time, with whoever says that it leads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.log.simulation import World

_PATIENCE_S = 6.0
_SIZES = (0, 0, 0, 20, 500, 1500)


class Client:
    def __init__(self, world: World, number: int) -> None:
        self.is_done = False
        self._world = world
        self._number = number
        self._turn = 0
        self._values = 0
        self._only_writes = False

    def later(self) -> None:
        """Do something soon."""
        self._turn += 1
        self._world.timeline.after(self._world.rng.expovariate(4.0), self._act, self._turn)

    def write_until_done(self) -> None:
        """Append until one is acknowledged."""
        self._only_writes = True
        self.later()

    def _act(self, turn: int) -> None:
        world, rng = self._world, self._world.rng
        if turn != self._turn or not (world.is_stormy or self._only_writes) or self.is_done:
            return
        leading = [process for process in world.processes() if process.leads and not process.is_frozen]
        if not leading:
            self.later()
            return
        process = rng.choice(leading)
        world.timeline.after(_PATIENCE_S, self._give_up, turn)
        if not self._only_writes and rng.random() < world.reads:
            process.enter(process.ask, world.history.read(), lambda: self._told(turn))
            return
        values = [self._value() for _ in range(rng.choice((1, 1, 2, 4)))]
        world.judge.written.update(values)
        appends = [world.history.append(value) for value in values]

        def append() -> None:
            if not process.append(appends, lambda: self._told(turn)):
                for one in appends:
                    world.history.refused(one)
                self._give_up(turn)

        process.enter(append)

    def _value(self) -> bytes:
        self._values += 1
        return b"%d.%d " % (self._number, self._values) + bytes(self._world.rng.choice(_SIZES))

    def _told(self, turn: int) -> None:
        if turn == self._turn:
            self.is_done = self._only_writes and self._has_written()
            self.later()

    def _has_written(self) -> bool:
        return any(append.position is not None for append in self._world.history.appends[-4:])

    def _give_up(self, turn: int) -> None:
        if turn == self._turn:
            self.later()
