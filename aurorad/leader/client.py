"""kazoo's client, made to our taste: it connects in time, tells when it ends, and keeps credentials to itself."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable
from typing import Any

from kazoo.client import KazooClient
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.serialization import Connect
from kazoo.protocol.states import KazooState, KeeperState
from kazoo.retry import KazooRetry

_log = logging.getLogger("aurorad.leader.zookeeper")

_MOST_RECONNECT_DELAY_S = 1.0  # far below a session: whoever comes back finds us
CONNECTED, SUSPENDED, LOST, REFUSED = "CONNECTED", "SUSPENDED", "LOST", "REFUSED"

Listen = Callable[[str, int, float], None]


@dataclasses.dataclass(frozen=True)
class ZooKeeperSettings:
    """Where the ensemble is, and how to deal with it (flags sheet, section 3)."""

    endpoints: tuple[str, ...]  # host:port
    chroot: str = ""  # what all paths are below
    session_timeout_s: float = 15.0  # asked for; the ensemble decides
    connection_timeout_s: float = 10.0
    credentials: str | None = dataclasses.field(default=None, repr=False)  # user:password


def make_client(settings: ZooKeeperSettings, listen: Listen, ended: Callable[[BaseException | None], None]) -> Any:
    """A `KazooClient`. Its threads call `listen` with a state, and session and agreed timeout while CONNECTED, 0 else;

    and `ended` when one of them ends, with the reason if it is an error.
    """
    patience_s = min(settings.connection_timeout_s, settings.session_timeout_s / len(settings.endpoints))
    client = KazooClient(
        ",".join(settings.endpoints),
        timeout=settings.session_timeout_s,
        handler=_Handler(patience_s, ended),
        auth_data=[("digest", settings.credentials)] if settings.credentials is not None else None,
        connection_retry=KazooRetry(max_tries=-1, max_delay=_MOST_RECONNECT_DELAY_S),
        logger=_KazooLog(_log),
    )
    timeout_s = _overhear(client, patience_s)

    def turn(state: str) -> None:
        if state == KazooState.CONNECTED:
            listen(CONNECTED, client.client_id[0], timeout_s())
        elif state == KazooState.SUSPENDED:
            listen(SUSPENDED, 0, 0)
        else:
            listen(REFUSED if client.client_state == KeeperState.AUTH_FAILED else LOST, 0, 0)

    client.add_listener(turn)
    return client


class _KazooLog(logging.LoggerAdapter[logging.Logger]):
    """What kazoo says, as details of ours: it says a lot while there is no connection.

    Its own details are left out altogether: they are requests and answers in full, and one of them has the password.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__(logger)

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        if level > logging.DEBUG:
            self.logger.log(level if level >= logging.ERROR else logging.DEBUG, f"kazoo: {msg}", *args, **kwargs)


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """Connects within a limit, and calls `ended` in each thread that ends."""

    def __init__(self, connect_limit_s: float, ended: Callable[[BaseException | None], None]) -> None:
        super().__init__()
        self._connect_limit_s = connect_limit_s
        self._ended = ended

    def spawn(self, func: Callable[..., object], *args: object, **kwargs: object) -> threading.Thread:
        def run() -> None:
            error: BaseException | None = None
            try:
                func(*args, **kwargs)
            except BaseException as raised:
                error = raised
            self._ended(error)

        thread: threading.Thread = super().spawn(run)
        return thread

    def create_connection(self, *args: Any, timeout: float, **kwargs: Any) -> Any:
        return super().create_connection(*args, timeout=min(timeout, self._connect_limit_s), **kwargs)


def _overhear(client: Any, limit_s: float) -> Callable[[], float]:
    """Gives the session timeout, in seconds, that client and ensemble agreed on last: kazoo keeps it to itself.

    A server that takes connections must answer within `limit_s` for us to stay there.
    """
    agreed_s = 0.0
    invoke = client._connection._invoke

    def listening(timeout: float, request: object, xid: int | None = None) -> Any:
        nonlocal agreed_s
        answer = invoke(min(timeout, limit_s), request, xid)
        if isinstance(request, Connect) and answer[0].time_out > 0:  # else the session is refused
            agreed_s = answer[0].time_out / 1000
        return answer

    client._connection._invoke = listening
    return lambda: agreed_s
