"""Sessions with a ZooKeeper ensemble: the one place where kazoo's threads meet Trio.

What kazoo's threads call touches nothing but a `trio.lowlevel.TrioToken`: it hands the loop a function, which does the
rest. A session is over when the ensemble says so (LOST), and also when nobody there can have heard of it for its whole
time, by our own clock: then its places may be another's already. That clock counts from when the last question was
*asked* that was answered, and the questions are syncs, which only the ensemble's leader can answer.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import trio
from kazoo.exceptions import (
    ConnectionLoss,
    KazooException,
    NoNodeError,
    OperationTimeoutError,
    RequestTimeoutError,
    SessionExpiredError,
    SessionMovedError,
    ThrottledOpError,
)
from kazoo.security import CREATOR_ALL_ACL, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE

from aurorad.leader.client import CONNECTED, REFUSED, SUSPENDED, ZooKeeperSettings, make_client
from aurorad.leader.face import ZooKeeperRefused as ZooKeeperRefused
from aurorad.vars import Vars

_log = logging.getLogger(__name__)

_STATES = ("CONNECTED", "SUSPENDED", "RECONNECTED", "LOST", "READ_ONLY")
_BEATS = 10  # questions in a session's time
_PATIENCES = 3  # a server may take this part of it to answer one; then there is time left for another server
_FIRST_PAUSE_S, _MOST_PAUSE_S = 1.0, 60.0  # between tries of one request (storage sheet, B1)
_STOP_PATIENCE_S = 1.0  # for the end of a session to be told; it ends by itself, too

_INTERRUPTIONS = (
    ConnectionLoss,
    SessionExpiredError,
    SessionMovedError,
    OperationTimeoutError,
    RequestTimeoutError,
    ThrottledOpError,
)


class SessionLost(Exception):
    """The session is over, and with it all that was ephemeral. The text says why."""


class _Interrupted(Exception):
    """Nobody knows what became of the request."""


class Session:
    """What ephemeral nodes live in, as long as we may believe that it is there."""

    def __init__(self, id_: int, timeout_s: float) -> None:
        self.id = id_
        self.timeout_s = timeout_s
        self.why_over: str | None = None
        self._scopes: set[trio.CancelScope] = set()

    @contextlib.contextmanager
    def lasting(self) -> Iterator[None]:
        """What is done within is cancelled when the session is over, which raises `SessionLost`."""
        if self.why_over is not None:
            raise SessionLost(self.why_over)
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)
        if scope.cancelled_caught:
            raise SessionLost(self.why_over)

    def end(self, why: str) -> None:
        if self.why_over is None:
            self.why_over = why
            for scope in self._scopes:
                scope.cancel()


class _Link(NamedTuple):
    """A connection, and the session that it serves."""

    session_id: int
    timeout_s: float


class ZooKeeper:
    """One session after the other, as long as `run` runs. Paths are below the chroot.

    Requests wait for a connection, and are made again when one was lost, with growing pauses and without an end: who
    has not so much time cancels them. One that was cancelled may still happen, but before all that are made later.
    """

    def __init__(self, settings: ZooKeeperSettings, stats: Vars) -> None:
        self._settings = settings
        self._root = settings.chroot.rstrip("/")
        self._acl = READ_ACL_UNSAFE + CREATOR_ALL_ACL if settings.credentials is not None else OPEN_ACL_UNSAFE
        self._stats = stats
        self._state: str | None = None  # as Curator names it
        self._link: _Link | None = None
        self._kept: Session | None = None
        self._session: Session | None = None  # the one that is kept, once it is confirmed
        self._changed = trio.Event()  # link or session are others
        self._failure: BaseException | None = None
        self._life = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken
        self._client: Any
        for state in _STATES:
            stats.gauge(f"zk_connection_state_{state}", functools.partial(self._is_in, state))
            stats.declare(f"zk_connection_state_{state}_counter")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep up a session until cancelled, which ends it. Once only. Raises `ZooKeeperRefused`."""
        self._token = trio.lowlevel.current_trio_token()
        self._client = make_client(self._settings, self._listen, lambda error: self._tell(self._thread_ended, error))
        self._client.start_async()
        try:
            with self._life:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._complain)
                    task_status.started()
                    while True:
                        await self._keep(Session(*await self._connected()))
        finally:
            self._life = trio.CancelScope()  # its threads may end now
            await self._stop()
        assert self._failure is not None
        raise self._failure

    async def session(self) -> Session:
        """The present session, as soon as there is one."""
        while self._session is None:
            await self._changed.wait()
        return self._session

    async def children(self, path: str) -> tuple[list[str], trio.Event]:
        """The names of the nodes in `path`, no older than the call; the event is set when there may be others.

        The path is made if it is not there.
        """
        changed, watch = self._watch()
        while True:
            await self._answer("sync", path)
            try:
                names: list[str] = await self._answer("get_children", path, watch)
            except NoNodeError:
                await self._answer("ensure_path", path, self._acl)
            else:
                return names, changed

    async def get(self, path: str) -> bytes | None:
        """What a node holds, None if it is not there."""
        try:
            data: bytes = (await self._answer("get", path))[0]
        except NoNodeError:
            return None
        return data

    async def owner(self, path: str) -> tuple[int | None, trio.Event]:
        """The session that an ephemeral node lives in, None if it is not there; the event is set when to ask again."""
        changed, watch = self._watch()
        stat = await self._answer("exists", path, watch)
        return (None if stat is None else stat.ephemeralOwner), changed

    async def hold(self, session: Session, path: str, prefix: str, data: bytes) -> str:
        """The name of this session's own ephemeral node ``<path>/<prefix><ten digits>``, made if it is not there.

        It is looked for first, every time: a request whose answer was lost may have made it. Raises `SessionLost`.
        """
        with session.lasting():
            while not (own := await self._own(session, path, prefix)):
                await self._connected()
                with contextlib.suppress(_Interrupted, NoNodeError):
                    place = f"{path}/{prefix}"
                    made: str = await self._ask("create", place, data, self._acl, ephemeral=True, sequence=True)
                    return made.rpartition("/")[2]
        return own[0]

    async def held(self, session: Session, path: str) -> None:
        """Wait until the node at `path` is not this session's any more. Raises `SessionLost`."""
        with session.lasting():
            while True:
                owner, changed = await self.owner(path)
                if owner != session.id:
                    return
                await changed.wait()

    async def release(self, session: Session, path: str, prefix: str) -> None:
        """Delete what `hold` made, also if that was cancelled. Raises `SessionLost`, which does the same."""
        with session.lasting():
            for name in await self._own(session, path, prefix):
                with contextlib.suppress(NoNodeError):
                    await self._answer("delete", f"{path}/{name}")

    async def _own(self, session: Session, path: str, prefix: str) -> list[str]:
        form = re.compile(re.escape(prefix) + r"\d{10,}")
        names = sorted(name for name in (await self.children(path))[0] if form.fullmatch(name))
        return [name for name in names if (await self.owner(f"{path}/{name}"))[0] == session.id]

    # A session, from its connection to its end.

    async def _keep(self, session: Session) -> None:
        """Have it live on, until it does not or we cannot know. It is anybody's once it was confirmed."""
        self._kept = session
        with (
            contextlib.suppress(SessionLost),
            trio.CancelScope(deadline=trio.current_time() + session.timeout_s) as believed,
            session.lasting(),
        ):
            while True:
                asked_at = await self._hear(session.timeout_s / _PATIENCES)
                if asked_at is None:
                    continue
                believed.deadline = asked_at + session.timeout_s
                if self._session is None:
                    self._session = session
                    self._wake()
                await trio.sleep(session.timeout_s / _BEATS)
        self._over(f"there was no word from ZooKeeper for the session's whole time of {session.timeout_s:g} s")

    async def _hear(self, patience_s: float) -> float | None:
        """Ask the ensemble's leader for a sign of life: when it was asked, None if it did not answer."""
        await self._connected()
        asked_at = trio.current_time()
        with trio.move_on_after(patience_s):
            try:
                await self._ask("sync", "")
            except _Interrupted:
                return None
            return asked_at
        self._drop()
        return None

    def _over(self, why: str, level: int = logging.WARNING) -> None:
        """The session that is kept has come to its end, if it has not before."""
        if self._kept is not None:
            _log.log(level, "ZooKeeper session 0x%x is over: %s", self._kept.id, why)
            self._kept.end(why)
            self._kept = self._session = None
            self._enter("LOST")
            self._wake()

    async def _connected(self) -> _Link:
        while self._link is None:
            await self._changed.wait()
        return self._link

    async def _complain(self) -> None:
        """Once for each time without a connection."""
        patience_s = self._settings.connection_timeout_s
        while True:
            with trio.move_on_after(patience_s) as patience:
                await self._connected()
            if patience.cancelled_caught:
                where = ",".join(self._settings.endpoints)
                _log.warning("no connection to ZooKeeper at %s for %g s: trying on", where, patience_s)
                await self._connected()
            while self._link is not None:
                await self._changed.wait()

    # Requests.

    async def _answer(self, request: str, path: str, *args: object) -> Any:
        """The answer to a request that may be made any number of times. Raises `NoNodeError`."""
        for tries in itertools.count():
            await self._connected()
            with contextlib.suppress(_Interrupted):
                return await self._ask(request, path, *args)
            if tries:  # what was interrupted once is tried again as soon as there is a connection
                await trio.sleep(min(_FIRST_PAUSE_S * 2.0 ** (tries - 1), _MOST_PAUSE_S))
        raise AssertionError

    async def _ask(self, request: str, path: str, *args: object, **kwargs: object) -> Any:
        """The answer to one of kazoo's requests; cancelled, that may still happen.

        Raises `NoNodeError`, `ZooKeeperRefused` and `_Interrupted`.
        """
        answered = trio.Event()
        result = getattr(self._client, f"{request}_async")(self._root + path or "/", *args, **kwargs)
        result.rawlink(lambda _: self._tell(answered.set))
        await answered.wait()
        try:
            return result.get_nowait()
        except _INTERRUPTIONS:
            raise _Interrupted from None
        except NoNodeError:
            raise
        except KazooException as error:
            what = f"{type(error).__name__} {error}".rstrip()
            raise ZooKeeperRefused(f"ZooKeeper refuses {request} {path}: {what}") from error

    def _watch(self) -> tuple[trio.Event, Callable[[object], None]]:
        """An event, and what sets it when kazoo calls it, which it does also when the connection is lost."""
        changed = trio.Event()
        return changed, lambda _: self._tell(changed.set)

    # kazoo: what follows is called by its threads where it says so, and else deals with them.

    def _listen(self, state: str, session_id: int, timeout_s: float) -> None:
        self._tell(self._turn, state, _Link(session_id, timeout_s) if state == CONNECTED else None)

    def _tell(self, function: Callable[..., object], *args: object) -> None:
        """Have the loop call a function. From any thread."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(function, *args)

    def _turn(self, state: str, link: _Link | None) -> None:
        self._link = link
        if link is not None:
            _log.info("connected to ZooKeeper: session 0x%x, timeout %g s", link.session_id, link.timeout_s)
            self._enter("CONNECTED" if self._state is None else "RECONNECTED")
        elif state == SUSPENDED:
            _log.warning("connection to ZooKeeper lost")
            self._enter("SUSPENDED")
        else:
            self._over("it has expired")
        if state == REFUSED:
            self._fail(ZooKeeperRefused("ZooKeeper refuses the credentials (-zk_digest_credentials)"))
        self._wake()

    def _is_in(self, state: str) -> int:
        return int(self._state == state)

    def _enter(self, state: str) -> None:
        if self._state != state:
            self._state = state
            self._stats.count(f"zk_connection_state_{state}_counter")

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _thread_ended(self, error: BaseException | None) -> None:
        self._fail(error or RuntimeError("kazoo has ended by itself"))

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._life.cancel()

    def _drop(self) -> None:
        """End the connection, to try another server: kazoo alone would wait for two thirds of the session's time."""
        with contextlib.suppress(OSError, AttributeError):  # there is none just now
            self._client._connection._socket.shutdown(socket.SHUT_RDWR)

    async def _stop(self) -> None:
        """Ends the session, if that can be told at once. kazoo may wait for long: its threads are left alone then."""
        self._over("this process left", logging.INFO)
        stopped = trio.Event()

        def stop() -> None:
            self._client.stop()
            self._client.close()
            self._tell(stopped.set)

        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(functools.partial(trio.to_thread.run_sync, stop, abandon_on_cancel=True))
                for end_it in (self._drop, nursery.cancel_scope.cancel):
                    with trio.move_on_after(_STOP_PATIENCE_S):
                        await stopped.wait()
                        break
                    end_it()
        self._link = None
