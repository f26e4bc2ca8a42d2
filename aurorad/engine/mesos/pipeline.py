"""Calls over one connection: each is sent without waiting for the answers to those before it, which come in order.

So calls reach the master in the order they were made, and thousands a second cost little: Mesos' own library does the
same. A library for HTTP clients would wait for each answer, or use many connections and lose the order.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Callable

import trio

from aurorad.engine.mesos.ends import Lost, until_over

MOST_UNANSWERED = 1000
"""More than a master has in hand at any moment; then callers wait."""

PATIENCE_S = 30.0
"""So long a connection that something between us and the master forgot would swallow calls, while events still come."""

_RECEIVE_BYTES = 64 << 10
_MOST_HEAD_BYTES = 16 << 10
_MOST_BODY_BYTES = 1 << 20  # of an answer: it is a sentence
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3})\b")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,9}) *\r\n", re.IGNORECASE)

Answered = Callable[[int, str], None]
"""Told an answer's status and text; it may raise `Over`, which ends the subscription."""


class Pipeline:
    """Use `call` while `run` runs."""

    def __init__(self, stream: trio.abc.Stream, head: bytes) -> None:
        """`head` is that of every request, but for its length."""
        self._stream = stream
        self._head = head
        self._to_send: list[bytes] = []
        self._something = trio.Event()
        self._unanswered: collections.deque[Answered] = collections.deque()
        self._fewer = trio.Event()
        self._turn = trio.Lock()  # nobody overtakes who has to wait: a kill must not be told before its launch
        self._answered = 0
        self._received = bytearray()
        self._is_over = False

    async def call(self, body: bytes, answered: Answered) -> None:
        """Send it; `answered` is told what the master says, if that comes. Cancelled, it is not sent, or whole.

        Waits only if far too many were not answered yet.
        """
        async with self._turn:  # also whoever makes many lets others run
            while len(self._unanswered) >= MOST_UNANSWERED and not self._is_over:
                await self._fewer.wait()
            self._unanswered.append(answered)
            self._to_send.append(b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(body), body))
            self._something.set()

    async def run(self) -> None:
        """Send and receive until cancelled. Raises `Lost` when the connection ends, and what `answered` raises."""
        try:
            await until_over(self._send, self._receive, self._watch)
        finally:
            self._is_over = True
            self._fewer.set()

    async def _send(self) -> None:
        while True:
            await self._something.wait()
            self._something = trio.Event()
            parts, self._to_send = self._to_send, []
            try:
                await self._stream.send_all(b"".join(parts))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise Lost(f"cannot send calls: {error}") from None

    async def _receive(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise Lost(f"the connection for calls broke: {error}") from None
            if not data:
                raise Lost("the master closed the connection for calls")
            self._received += data
            while (end := self._received.find(b"\r\n\r\n")) >= 0 and self._take_answer(end + 4):
                pass
            if end < 0 and len(self._received) > _MOST_HEAD_BYTES:
                raise Lost("the master does not speak HTTP properly")
            self._fewer.set()
            self._fewer = trio.Event()

    async def _watch(self) -> None:
        while True:
            answered, is_waiting = self._answered, bool(self._unanswered)
            await trio.sleep(PATIENCE_S)
            if is_waiting and answered == self._answered:
                raise Lost(f"the master answered no call for {PATIENCE_S:g} s")

    def _take_answer(self, head_length: int) -> bool:
        """Of what was received, the first answer, if it is complete."""
        head = bytes(self._received[:head_length])
        status, length = _STATUS.match(head), _LENGTH.search(head)
        if status is None or length is None or int(length[1]) > _MOST_BODY_BYTES or not self._unanswered:
            raise Lost(f"an answer was not expected: {head[:100]!r}")
        end = head_length + int(length[1])
        if len(self._received) < end:
            return False
        text = self._received[head_length:end].decode(errors="replace")
        del self._received[:end]
        self._answered += 1
        self._unanswered.popleft()(int(status[1]), text)
        return True
