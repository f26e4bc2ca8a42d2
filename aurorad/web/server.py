"""Serving an application over HTTP/1.1: hypercorn's connections, with what hypercorn leaves out.

A status line carries its reason phrase (some probes compare it whole), CONNECT is refused, upgrades are passed over, no
client gets more than its share (`connection.py` has the limits), and stopping never waits for one that stopped reading:
after the grace every socket is closed.
"""

from __future__ import annotations

import errno
import logging
import math
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState
from quart_trio import QuartTrio

from aurorad.web.connection import Connection

_log = logging.getLogger("aurorad.http")

KEEP_ALIVE_S = 75.0
_COMPLAIN_EVERY_S = 60.0
MOST_CONNECTIONS = 1000
"""When there are more, those that have been idle for longest are closed."""

_REMEDIES = {
    errno.EADDRINUSE: "stop who uses it (another aurorad?), or choose another port with -{flag}",
    errno.EACCES: "only root may use ports below 1024: choose another one with -{flag}",
}
_NO_ADDRESS_OF_OURS = "-ip, or else -hostname, must be an address of this machine"


class PortTaken(Exception):
    """The address to listen on is not to be had; the text says which and why."""


def listen(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket. Raises `PortTaken`, naming the flag that chooses the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError as error:
        sock.close()
        remedy = _REMEDIES.get(error.errno or 0, _NO_ADDRESS_OF_OURS).format(flag=flag)
        raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}; {remedy}") from None
    sock.setblocking(False)
    return sock


async def serve(
    app: QuartTrio,
    sock: socket.socket,
    *,
    stopping: trio.Event,
    grace_s: float,
    tls: Callable[[], ssl.SSLContext] | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stopping` is set, then let open requests go on for at most `grace_s` seconds.

    With `tls`, which says how at the begin of each connection, over TLS.
    """
    config = Config()
    config.include_server_header = False
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.errorlog = _log
    wrapped = ASGIWrapper(app)
    state = ConnectionState({})
    lifespan = Lifespan(wrapped, config, state)
    async with trio.open_nursery() as outer:
        await outer.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        await _accept(wrapped, config, sock, stopping, grace_s, tls, task_status)
        await lifespan.wait_for_shutdown()
        outer.cancel_scope.cancel()


async def _accept(
    app: AppWrapper,
    config: Config,
    sock: socket.socket,
    stopping: trio.Event,
    grace_s: float,
    tls: Callable[[], ssl.SSLContext] | None,
    task_status: trio.TaskStatus[None],
) -> None:
    context = WorkerContext(None)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    open_: set[Connection] = set()
    last_closed = trio.Event()
    most = most_connections()

    complained = -math.inf

    def complain() -> None:
        nonlocal complained
        if trio.current_time() - complained > _COMPLAIN_EVERY_S:
            complained = trio.current_time()
            _log.warning("all %d connections are busy: more are refused", most)

    async def handle(stream: trio.SocketStream) -> None:
        way = stream if tls is None else trio.SSLStream(stream, tls(), server_side=True, https_compatible=True)
        connection = Connection(app, config, context, way)
        if len(open_) >= most and not _make_room(open_):
            complain()
            connection.close()
            return
        open_.add(connection)
        try:
            await connection.run()
        except Exception:
            # The boundary to a client: what one of them manages to break must not end the daemon.
            _log.exception("a connection failed")
        finally:
            open_.discard(connection)
            if stopping.is_set() and not open_:
                last_closed.set()

    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(_serve_listener, handle, listener, connections)
            task_status.started()
            await stopping.wait()
            accepting.cancel_scope.cancel()
        await context.terminated.set()
        for connection in open_:
            if connection.idle_since is not None:
                connection.close()
        if open_:
            with trio.move_on_after(grace_s):
                await last_closed.wait()
        for connection in open_:
            connection.close()
        connections.cancel_scope.cancel()


def most_connections() -> int:
    """How many connections one server holds at once: a quarter of the files that the process may have open."""
    return min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)


def _make_room(connections: Iterable[Connection]) -> bool:
    """Close the connection that has been idle for longest; False if none is."""
    idle = [(connection.idle_since, connection) for connection in connections if connection.idle_since is not None]
    if not idle:
        return False
    min(idle, key=lambda pair: pair[0])[1].close()
    return True


async def _serve_listener(
    handle: Callable[[trio.SocketStream], Awaitable[None]], listener: trio.SocketListener, connections: trio.Nursery
) -> None:
    await trio.serve_listeners(handle, [listener], handler_nursery=connections)
