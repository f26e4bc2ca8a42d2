"""How a member of a log reaches the others: over TCP, one connection each way, by mutual TLS if there are certificates.

Every message may be lost, come late or twice, and nobody waits: what a slow or absent member would not get in time is
dropped and counted. Whoever is no member of this log is turned away at the first frame.
"""

from __future__ import annotations

import logging
import math
import random
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import msgspec
import trio

from aurorad.log import hello
from aurorad.log.certificates import NO_TLS, Certificates
from aurorad.log.dialling import BROKEN, HELLO_S, SILENCE_S, Dialled, reason, receive_hello
from aurorad.log.hello import MAX_FRAME_BYTES, Frames, Hello, Malformed, Stranger
from aurorad.log.messages import Message, Peer
from aurorad.vars import Vars

_logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
"""From others at a time: several times what any log has members."""

_RECEIVE_BYTES = 256 << 10
_MAX_STRANGE_BYTES = 64 << 10  # of a frame from somebody who is not (yet) in the group: it must not fill the memory
_REPEAT_S = 60.0  # the same complaint is made no more often
_MAX_COMPLAINTS = 100

Deliver = Callable[[str, Message, int], Awaitable[None]]
"""Told of each message: its sender, the message, its size in bytes. May take its time: then the sender has to wait."""

Met = Callable[[str, Peer], None]
"""Told what the member at an address says of itself, whenever it says so."""


class Peers(Protocol):
    """The network, as a member sees it. `run` must run."""

    @property
    def me(self) -> str:
        """This member's own address, ``ip:port``: where others dial it."""

    def introduce(self, peer: Peer) -> None:
        """What this member says of itself from now on; to those it is connected with too."""

    def aim(self, members: frozenset[str]) -> None:
        """Whom to talk with from now on; nobody else is heard. This member itself may be among them."""

    def send(self, to: str, message: Message) -> None:
        """Have it sent to another member, or lost. Never waits."""

    async def run(self, deliver: Deliver, met: Met) -> None:
        """Until cancelled."""


class TcpPeers:
    """`Peers` over TCP."""

    def __init__(
        self,
        listener: trio.SocketListener,
        me: str,
        cluster_id: str,
        stats: Vars,
        rng: random.Random,
        certificates: Certificates | None = None,
    ) -> None:
        """`listener` is where others dial `me`; closed when `run` ends. Raises `OSError` for bad `certificates`."""
        self.me = me
        self._listener = listener
        self._cluster_id = cluster_id
        self._peer = Peer(0, 0)
        self._met: Met = lambda *_: None
        self._rng = rng
        self._server_tls, self._client_tls = certificates.contexts() if certificates else NO_TLS
        self._members: frozenset[str] = frozenset()
        self._dialled: dict[str, Dialled] = {}
        self._nursery: trio.Nursery | None = None
        self._accepted: dict[str, trio.CancelScope] = {}  # what ends the connection from each member
        self._connections = 0
        self._complaints: dict[str, float] = {}
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
        self._encoded: tuple[Message | None, bytes] = (None, b"")
        self._stats = stats
        self._declare()

    def introduce(self, peer: Peer) -> None:
        """As `Peers` says."""
        if peer != self._peer:
            self._peer = peer
            for dialled in self._dialled.values():
                dialled.begin_anew()

    def aim(self, members: frozenset[str]) -> None:
        """As `Peers` says."""
        self._members = members
        for gone in self._dialled.keys() - members:
            self._dialled.pop(gone).scope.cancel()
        for gone in self._accepted.keys() - members:
            self._accepted.pop(gone).cancel()
        for new in sorted(members - self._dialled.keys() - {self.me}):
            self._dialled[new] = self._new_dialled(new)
            if self._nursery is not None:
                self._nursery.start_soon(self._dialled[new].run)

    def send(self, to: str, message: Message) -> None:
        """As `Peers` says."""
        dialled = self._dialled.get(to)
        if dialled is None:
            self._count("messages_dropped")
            return
        if self._encoded[0] is not message:  # often the same goes to all
            self._encoded = (message, hello.frame(self._encoder.encode(message)))
        self._count("messages_sent")
        dialled.add(self._encoded[1])

    async def run(self, deliver: Deliver, met: Met) -> None:
        """As `Peers` says."""
        self._met = met
        async with self._listener, trio.open_nursery() as nursery:
            self._nursery = nursery
            for dialled in self._dialled.values():
                nursery.start_soon(dialled.run)

            async def accept(stream: trio.SocketStream) -> None:
                await self._accept(stream, deliver)

            await trio.serve_listeners(accept, [self._listener], handler_nursery=nursery)

    def _new_dialled(self, member: str) -> Dialled:
        return Dialled(
            member,
            self._hello,
            self._client_tls,
            self._rng,
            dropped=lambda: self._count("messages_dropped"),
            met=self._greeted,
            told=partial(self._failed, member),
        )

    def _hello(self, to: str) -> Hello:
        return Hello(hello.PROTOCOL, self._cluster_id, self.me, to, self._peer)

    def _greeted(self, theirs: Hello) -> None:
        _logger.info("Connected with log member %s", theirs.sender)
        self._met(theirs.sender, theirs.peer)

    async def _accept(self, stream: trio.SocketStream, deliver: Deliver) -> None:
        """The boundary to others: whatever they do ends the connection alone."""
        self._connections += 1
        source = _source(stream)
        try:
            if self._connections > MAX_CONNECTIONS:
                raise Stranger(f"there are {MAX_CONNECTIONS} connections already")
            await self._serve(stream, deliver)
        except (Malformed, Stranger, *BROKEN) as error:
            self._failed(source, error, complaint=f"{source} {type(error).__name__}")
        finally:
            self._connections -= 1
            await trio.aclose_forcefully(stream)

    async def _serve(self, tcp: trio.SocketStream, deliver: Deliver) -> None:
        stream: trio.abc.Stream = tcp
        if self._server_tls is not None:
            stream = trio.SSLStream(tcp, self._server_tls, server_side=True, https_compatible=True)
        with trio.fail_after(HELLO_S):
            theirs = await receive_hello(stream)
            mine = self._hello(theirs.sender)
            # A stranger is answered too, so that it can tell its operator.
            await stream.send_all(hello.frame(self._encoder.encode(mine)))
        hello.check(theirs, mine)
        if theirs.receiver != self.me:
            raise Stranger(f"it looks for {theirs.receiver!r}, this is {self.me}")
        with trio.CancelScope() as scope:
            older = self._accepted.pop(theirs.sender, None)
            if older is not None:
                older.cancel()
            self._accepted[theirs.sender] = scope
            if theirs.sender in self._dialled:
                self._met(theirs.sender, theirs.peer)
                self._dialled[theirs.sender].hurry()
            try:
                await self._receive(theirs.sender, stream, scope, deliver)
            finally:
                if self._accepted.get(theirs.sender) is scope:
                    del self._accepted[theirs.sender]

    async def _receive(self, sender: str, stream: trio.abc.Stream, scope: trio.CancelScope, deliver: Deliver) -> None:
        frames = Frames(_MAX_STRANGE_BYTES)
        while True:
            scope.deadline = trio.current_time() + SILENCE_S
            data = await stream.receive_some(_RECEIVE_BYTES)
            if not data:
                return
            scope.deadline = math.inf
            frames.max_bytes = MAX_FRAME_BYTES if sender in self._members else _MAX_STRANGE_BYTES
            for payload in frames.feed(data):
                try:
                    message = self._decoder.decode(payload)
                except msgspec.MsgspecError as error:
                    raise Malformed(f"no message: {error}") from None
                if sender not in self._members:
                    self._count("strangers")
                    continue
                self._count("messages_received")
                await deliver(sender, message, len(payload))

    def _failed(self, other: str, error: BaseException, complaint: str | None = None) -> None:
        """A connection with `other` has ended, or could not be made; what is one `complaint` is logged now and then."""
        if isinstance(error, Malformed):
            self._count("malformed")
        elif isinstance(error, Stranger) or isinstance(error.__cause__, ssl.SSLError):
            self._count("strangers")
        text = f"{other}: {reason(error)}"
        complaint, now = complaint or text, trio.current_time()
        if now - self._complaints.get(complaint, -math.inf) < _REPEAT_S:
            return
        if len(self._complaints) >= _MAX_COMPLAINTS:
            self._complaints.clear()
        self._complaints[complaint] = now
        _logger.warning("Log member %s", text)

    def _count(self, what: str) -> None:
        self._stats.count(f"scheduler_log_native_{what}")

    def _declare(self) -> None:
        for what in ("messages_sent", "messages_received", "messages_dropped", "strangers", "malformed"):
            self._stats.declare(f"scheduler_log_native_{what}")
        self._stats.gauge(
            "scheduler_log_native_peers_connected", lambda: sum(one.is_connected for one in self._dialled.values())
        )


def _source(stream: trio.SocketStream) -> str:
    """Who dialled, for a log line: from which machine."""
    try:
        peer = stream.socket.getpeername()
    except OSError:  # gone already
        return "somebody"
    return str(peer[0])
