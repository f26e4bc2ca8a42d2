"""A way from one member to another that can be cut, stalled and garbled."""

from __future__ import annotations

from collections.abc import Callable

import trio


class Proxy:
    """Passes on what comes to its `address` to `target`, and back. `run` must run."""

    def __init__(self, listener: trio.SocketListener, target: Callable[[], str]) -> None:
        self.address = address(listener)
        self.connections = 0
        """How many there were."""
        self.bytes_left: int | None = None
        """After so many more bytes towards the target, everything is cut, once."""
        self.garble: Callable[[bytes], bytes] = lambda data: data
        """What becomes of what goes to the target."""
        self.is_open = True
        self._listener = listener
        self._target = target
        self._flowing = trio.Event()
        self._flowing.set()
        self._scopes: set[trio.CancelScope] = set()

    @classmethod
    async def open(cls, target: Callable[[], str]) -> Proxy:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        return cls(listener, target)

    def cut(self) -> None:
        """End the connections there are."""
        for scope in list(self._scopes):
            scope.cancel()

    def close(self) -> None:
        """Let nothing through, until `is_open` again."""
        self.is_open = False
        self.cut()

    def stall(self) -> None:
        """Pass nothing on, and say nothing of it."""
        self._flowing = trio.Event()

    def go_on(self) -> None:
        self._flowing.set()

    async def run(self) -> None:
        await trio.serve_listeners(self._pass_on, [self._listener])

    async def _pass_on(self, near: trio.SocketStream) -> None:
        if not (self.is_open and self._target()):  # nobody is there yet
            await trio.aclose_forcefully(near)
            return
        self.connections += 1
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                host, _, port = self._target().rpartition(":")
                async with near, await trio.open_tcp_stream(host, int(port)) as far, trio.open_nursery() as nursery:
                    nursery.start_soon(self._copy, near, far, True, scope)
                    nursery.start_soon(self._copy, far, near, False, scope)
            except* (OSError, trio.BrokenResourceError):
                pass
            finally:
                self._scopes.discard(scope)

    async def _copy(
        self, source: trio.SocketStream, to: trio.SocketStream, forth: bool, scope: trio.CancelScope
    ) -> None:
        while data := bytes(await source.receive_some(65536)):
            await self._flowing.wait()
            if forth:
                data = self.garble(data)
                if self.bytes_left is not None:
                    data, rest = data[: self.bytes_left], data[self.bytes_left :]
                    self.bytes_left -= len(data)
                    if rest or not self.bytes_left:
                        await to.send_all(data)
                        self.bytes_left = None
                        self.cut()
                        return
            await to.send_all(data)
        scope.cancel()


def address(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"{host}:{port}"
