"""One other member: dialled until it answers, and again when it is lost; what is to be sent waits here, not long."""

from __future__ import annotations

import math
import os
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable

import msgspec
import trio

from aurorad.log import hello
from aurorad.log.hello import MAX_HELLO_BYTES, Frames, Hello, Malformed, Stranger

MAX_QUEUE_BYTES = 16 << 20
"""About what a leader has under way at most. A single message may be larger."""

MAX_WAIT_S = 2.0
"""What could not be sent for so long is not worth sending."""

HELLO_S = 2.0
"""Connecting and saying hello may take so long."""
ALIVE_S = 2.0
"""How often something is said, if only that one is there."""
SILENCE_S = 10.0
"""After this much of it a connection is given up."""
FIRST_RETRY_S, LAST_RETRY_S = 0.1, 1.0

_SEND_BYTES = 256 << 10
_RECEIVE_BYTES = 64 << 10

# What a connection can end with, besides what `hello` raises.
BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)


class Dialled:
    """The way to one member. `run` must run."""

    def __init__(
        self,
        member: str,
        hello: Callable[[str], Hello],
        tls: ssl.SSLContext | None,
        rng: random.Random,
        *,
        dropped: Callable[[], None],
        met: Callable[[Hello], None],
        told: Callable[[BaseException], None],
    ) -> None:
        """`member` is where to dial, `hello` what to say to whom. `met` gets the answer, `told` why it failed."""
        self.is_connected = False
        self.scope = trio.CancelScope()
        """Cancelled, it ends `run`."""
        self._member = member
        self._hello = hello
        self._tls = tls
        self._rng = rng
        self._dropped = dropped
        self._met = met
        self._told = told
        self._frames: deque[tuple[float, bytes]] = deque()
        self._size = 0
        self._rest = b""  # of a frame whose beginning was sent
        self._idle: int | None = None  # what to write to while nothing is being sent; None also if it is encrypted
        self._more = trio.Event()
        self._again = trio.Event()
        self._talking = trio.CancelScope()

    def add(self, frame: bytes) -> None:
        """Send it soon, or drop it."""
        if self._idle is not None and not self._frames and self._sent_at_once(self._idle, frame):
            return
        if self._size and self._size + len(frame) > MAX_QUEUE_BYTES:
            self._drop_old()
            if self._size and self._size + len(frame) > MAX_QUEUE_BYTES:
                self._dropped()
                return
        self._frames.append((trio.current_time(), frame))
        self._size += len(frame)
        self._more.set()

    def _sent_at_once(self, descriptor: int, frame: bytes) -> bool:
        """Past the task that sends, whose turn would come later; it sends what the socket does not take now."""
        try:
            sent = os.write(descriptor, frame)
        except OSError:  # there is no room, or the connection is broken, as that task will find
            return False
        if 0 < sent < len(frame):
            self._idle, self._rest = None, frame[sent:]
            self._more.set()
        return sent > 0

    def begin_anew(self) -> None:
        """Connect again, since there is something else to say in the hello."""
        self._talking.cancel()

    def hurry(self) -> None:
        """Dial at once if it is not connected: it was heard."""
        self._again.set()

    async def run(self) -> None:
        """Dial, send, and dial again, until cancelled."""
        retry_s = FIRST_RETRY_S
        with self.scope:
            while True:
                self._talking = trio.CancelScope()
                try:
                    with self._talking:
                        await self._talk()
                except* (Malformed, Stranger, *BROKEN) as errors:
                    self._told(errors.exceptions[0])
                retry_s = FIRST_RETRY_S if self.is_connected else min(2 * retry_s, LAST_RETRY_S)
                self.is_connected = False
                self._again = trio.Event()
                with trio.move_on_after(retry_s * self._rng.uniform(0.5, 1)):
                    await self._again.wait()

    async def _talk(self) -> None:
        with trio.fail_after(HELLO_S):
            stream = await _connect(self._member, self._tls)
        try:
            with trio.fail_after(HELLO_S):
                theirs = await self._exchange(stream)
            self.is_connected = True
            self._met(theirs)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_closed, stream)
                nursery.start_soon(self._stay_alive)
                await self._send(stream, nursery.cancel_scope)
            raise trio.TooSlowError
        finally:
            self._idle, self._rest = None, b""
            await trio.aclose_forcefully(stream)  # a farewell may take for ever

    async def _exchange(self, stream: trio.abc.Stream) -> Hello:
        mine = self._hello(self._member)
        await stream.send_all(hello.frame(msgspec.msgpack.encode(mine)))
        theirs = await receive_hello(stream)
        hello.check(theirs, mine)
        if theirs.sender != self._member:
            raise Stranger(f"it says that it is {theirs.sender!r}")
        return theirs

    async def _send(self, stream: trio.abc.Stream, all_of_it: trio.CancelScope) -> None:
        """Until sending takes too long, which ends `all_of_it`."""
        while True:
            if not self._more.is_set():
                self._idle = stream.socket.fileno() if isinstance(stream, trio.SocketStream) else None
            await self._more.wait()
            self._idle = None
            all_of_it.deadline = trio.current_time() + SILENCE_S
            await stream.send_all(self._take() or hello.ALIVE)
            all_of_it.deadline = math.inf

    async def _stay_alive(self) -> None:
        while True:
            await trio.sleep(ALIVE_S)
            self._more.set()  # if there is nothing to say, that is said

    def _take(self) -> bytes:
        """What to send next, at once; empty if there is nothing."""
        self._drop_old()
        some, self._rest = [self._rest] if self._rest else [], b""
        size = 0
        while self._frames and size < _SEND_BYTES:
            _, frame = self._frames.popleft()
            some.append(frame)
            size += len(frame)
        self._size -= size
        if not self._frames:
            self._more = trio.Event()
        return some[0] if len(some) == 1 else b"".join(some)

    def _drop_old(self) -> None:
        too_old = trio.current_time() - MAX_WAIT_S
        while self._frames and self._frames[0][0] < too_old:
            self._size -= len(self._frames.popleft()[1])
            self._dropped()


async def receive_hello(stream: trio.abc.Stream) -> Hello:
    """The first frame of the other side. Raises `Malformed` if it is something else."""
    frames = Frames(MAX_HELLO_BYTES)
    found: list[memoryview] = []
    while not found:
        data = await stream.receive_some(MAX_HELLO_BYTES)
        if not data:
            raise trio.BrokenResourceError("it closed the connection")
        found = frames.feed(data)
    try:
        (only,) = found
        return msgspec.msgpack.decode(only, type=Hello)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Malformed(f"no hello: {error}") from None


def reason(error: BaseException) -> str:
    """What to tell a person; of several errors, about the first."""
    if isinstance(error, BaseExceptionGroup):
        return reason(error.exceptions[0])
    if isinstance(error, trio.TooSlowError):
        return "no answer in time"
    if isinstance(error.__cause__, OSError | BaseExceptionGroup):
        return reason(error.__cause__)
    return str(error) or type(error).__name__


def split(address: str) -> tuple[str, int]:
    """Host and port of ``ip:port`` or ``[ipv6]:port``. Raises `ValueError`."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


async def _connect(address: str, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    try:
        host, port = split(address)
    except ValueError:
        raise Malformed(f"{address!r} is not an address: ip:port was expected") from None
    stream = await trio.open_tcp_stream(host, port)
    # Without it, what is sent to a machine that went down would be repeated for a quarter of an hour.
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(SILENCE_S * 1000))
    return stream if tls is None else trio.SSLStream(stream, tls, https_compatible=True)


async def _until_closed(stream: trio.abc.Stream) -> None:
    """Raises `trio.BrokenResourceError` then, `Malformed` if it says anything: only the one who dialled may."""
    if await stream.receive_some(_RECEIVE_BYTES):
        raise Malformed("it spoke out of turn")
    raise trio.BrokenResourceError("it closed the connection")
