"""Ports of this machine that lead to ports of tasks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from client.errors import CommandError, Exit

_PIECE_BYTES = 65536


@contextmanager
def tunnel(port: int, target: tuple[str, int]) -> Iterator[None]:
    """While it lasts, whoever connects to `port` of the loopback address is connected to `target`.

    Raises `CommandError` if somebody else listens there.
    """
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        text = f"Port {port} of this machine cannot be listened on: {error.strerror}"
        raise CommandError(Exit.COMMAND_FAILURE, text) from None
    with listener:
        threading.Thread(target=_accept, args=(listener, target), daemon=True).start()
        yield
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # which ends `accept`


def _accept(listener: socket.socket, target: tuple[str, int]) -> None:
    while True:
        try:
            here, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(here, target), daemon=True).start()


def _connect(here: socket.socket, target: tuple[str, int]) -> None:
    with here, suppress(OSError), socket.create_connection(target) as there:
        back = threading.Thread(target=_pass_on, args=(there, here), daemon=True)
        back.start()
        _pass_on(here, there)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE_BYTES):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
