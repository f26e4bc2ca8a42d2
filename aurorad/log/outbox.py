"""What a member has to say and to write down, and what it must not say before it is written down."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from aurorad.log.messages import Message, Record


class Sending(NamedTuple):
    """A message, and the addresses it goes to. All may leave at once: what must wait for the disk is not in it yet."""

    to: tuple[str, ...]
    message: Message


_Topic: TypeAlias = tuple[tuple[str, ...], type[Message]]


class Outbox:
    """Fills up while a member thinks; `take_records` and `take_sendings` empty it.

    Of what somebody is told again and again, only the last is kept, as long as all of it waits for the same write. So
    no more is held than the disk has writes before it, however long it takes.
    """

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._sendings: list[Sending] = []
        self._held: deque[tuple[int, dict[_Topic, Sending]]] = deque()  # and the ticket it waits for
        self._ticket = 0  # the last one given out
        self._durable = 0  # the last one that came back

    def write_down(self, record: Record) -> None:
        self._records.append(record)

    def send(self, to: tuple[str, ...], message: Message) -> None:
        if to:
            self._sendings.append(Sending(to, message))

    def hold(self, to: tuple[str, ...], message: Message) -> None:
        """Send it once all is durable that was written down before."""
        ticket = self._ticket + bool(self._records)
        if not self._held or self._held[-1][0] != ticket:
            self._held.append((ticket, {}))
        _tell(self._held[-1][1], Sending(to, message))

    def forget_held(self) -> None:
        self._held.clear()

    @property
    def writes(self) -> bool:
        """Whether there is anything to write down."""
        return bool(self._records)

    def durable(self, ticket: int) -> None:
        self._durable = max(self._durable, ticket)

    def released(self) -> list[Sending]:
        """What was held and may leave now."""
        ready: dict[_Topic, Sending] = {}
        while self._held and self._held[0][0] <= self._durable:
            for sending in self._held.popleft()[1].values():
                _tell(ready, sending)
        return list(ready.values())

    def take_records(self) -> tuple[int, Sequence[Record]]:
        """The records, and the ticket under which they are to be told durable; 0 if there are none."""
        if not self._records:
            return 0, ()
        records, self._records = self._records, []
        self._ticket += 1
        return self._ticket, records

    def take_sendings(self) -> Sequence[Sending]:
        sendings, self._sendings = self._sendings, []
        return sendings


def _tell(sendings: dict[_Topic, Sending], new: Sending) -> None:
    topic = new.to, type(new.message)
    sendings.pop(topic, None)  # in its order
    sendings[topic] = new
