"""What a member has to say and to write down, and what it must not say before it is written down."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from aurorad.log.messages import Accepted, Message, Record


class Sending(NamedTuple):
    """A message, and the addresses it goes to. All may leave at once: what must wait for the disk is not in it yet."""

    to: tuple[str, ...]
    message: Message


class Outbox:
    """Fills up while a member thinks; `take_records` and `take_sendings` empty it."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._sendings: list[Sending] = []
        self._held: deque[tuple[int, Sending]] = deque()  # and the ticket it waits for
        self._ticket = 0  # the last one given out
        self._durable = 0  # the last one that came back

    def write_down(self, record: Record) -> None:
        self._records.append(record)

    def send(self, to: tuple[str, ...], message: Message) -> None:
        if to:
            self._sendings.append(Sending(to, message))

    def hold(self, to: tuple[str, ...], message: Message) -> None:
        """Send it once all is durable that was written down before."""
        self._held.append((self._ticket + bool(self._records), Sending(to, message)))

    def forget_held(self) -> None:
        self._held.clear()

    @property
    def writes(self) -> bool:
        """Whether there is anything to write down."""
        return bool(self._records)

    def durable(self, ticket: int) -> None:
        self._durable = max(self._durable, ticket)

    def released(self) -> list[Sending]:
        """What was held and may leave now; of what one proposal was told again and again, the last."""
        ready: list[Sending] = []
        while self._held and self._held[0][0] <= self._durable:
            sending = self._held.popleft()[1]
            if ready and _says_more(sending, ready[-1]):
                ready[-1] = sending
            else:
                ready.append(sending)
        return ready

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


def _says_more(new: Sending, old: Sending) -> bool:
    return (
        isinstance(new.message, Accepted)
        and isinstance(old.message, Accepted)
        and new.to == old.to
        and new.message.proposal == old.message.proposal
        and new.message.member == old.message.member
        and new.message.end >= old.message.end
    )
