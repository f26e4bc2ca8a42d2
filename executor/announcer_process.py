"""The process that is a task's member of a ServerSet: forked by the executor, and gone with it.

kazoo works with threads, which an executor cannot have, and is used in the fork only. One process is one membership: it
joins, stays, and ends when it is no longer a member, whatever the reason; to join again takes another process. What
happens it tells over its channel, in lines of a word and a text.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import pwd
import select
import signal
import socket
import threading
from collections.abc import Callable
from typing import NoReturn

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.retry import KazooRetry
from kazoo.security import ACL, Id

from aurorad import procfs
from executor.announcement import MEMBER, Announcement, AnnouncerSettings
from executor.process import become_user, close_all_but
from executor.sandbox import User

_SESSION_S = 10.0  # so long ZooKeeper keeps the node of a process that was killed, if it agrees
_LEAVE_LIMIT_S = 1  # the request is on its way at once; a server that is slow answers nobody then
_MAX_DELAY_S = 2.0  # well within a session: a server that comes back finds the owner of its node in time
_NAME = b"aurora-announce"  # as ps shows it; the kernel takes 15 bytes
_NOBODY = 65534
_IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

Say = Callable[[str, str], None]


def be_member(
    announcement: Announcement, settings: AnnouncerSettings, channel: socket.socket, executor: int
) -> NoReturn:
    """To be called in a fork. It ends when the other end of `channel` is closed, or the process `executor` ends."""

    def say(word: str, text: str) -> None:
        with contextlib.suppress(OSError):  # nobody listens any more: we shall end
            channel.sendall(" ".join([word, *text.split()]).encode() + b"\n")

    try:
        _settle_in(channel.fileno())
        _announce(announcement, settings, channel, os.pidfd_open(executor), say)
    except Exception as error:
        say("FAILED", _describe(error))
    finally:
        os._exit(1)


def _settle_in(channel: int) -> None:
    """Lets go of all that came with the fork, root's rights above all, and of what would end it."""
    gc.freeze()  # what the executor left behind must never be collected here: that might close our descriptors
    gc.enable()
    logging.disable()  # the log's file is closed, and kazoo's debugging output has credentials in it
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    close_all_but({channel})
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)
    procfs.show_as(_NAME)
    "".encode("idna")  # looking up a host does it, when the modules may be out of reach
    with contextlib.suppress(PermissionError):  # a root that may not become another: in a container of few rights
        become_user(_nobody())


def _nobody() -> User:
    """Whoever may not read, signal or trace anything of ours; not the task's user, who could do so to us."""
    if os.geteuid() != 0:
        return User("", os.geteuid(), os.getegid())
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return User("nobody", _NOBODY, _NOBODY, drop=True)
    return User("nobody", entry.pw_uid, entry.pw_gid, drop=True)


def _announce(
    announcement: Announcement, settings: AnnouncerSettings, channel: socket.socket, executor: int, say: Say
) -> NoReturn:
    """`executor` is a pidfd."""

    def give_up(failure: threading.ExceptHookArgs) -> NoReturn:
        say("FAILED", _describe(failure.exc_value))
        os._exit(1)

    threading.excepthook = give_up  # a client without one of its threads would wait for ever
    client = _client(settings)
    client.add_listener(lambda state: say(state, ""))
    leaving = threading.Lock()

    def leave() -> NoReturn:
        leaving.acquire()  # once
        signal.alarm(_LEAVE_LIMIT_S)  # its action is to end us
        if client.connected:
            client.stop()
        os._exit(0)

    def leave_when_told() -> NoReturn:
        select.select([channel.fileno(), executor], [], [])
        leave()

    threading.Thread(target=leave_when_told, daemon=True).start()
    try:
        client.start_async().wait()
        node, session = _join(client, announcement)
    except Exception as error:
        say("FAILED", _describe(error))
        leave()
    say("JOINED", node)
    say("OVER", _stay(client, node, session))
    leave()


def _client(settings: AnnouncerSettings) -> KazooClient:
    return KazooClient(
        settings.ensemble,
        timeout=_SESSION_S,
        auth_data=[(credential.scheme, credential.credential) for credential in settings.auth.credentials],
        default_acl=[ACL(access.permissions, Id(access.scheme, access.identity)) for access in settings.auth.acl]
        or None,
        connection_retry=KazooRetry(max_tries=-1, max_delay=_MAX_DELAY_S),
        command_retry=KazooRetry(max_tries=-1, max_delay=1.0, ignore_expire=False),
    )


def _join(client: KazooClient, announcement: Announcement) -> tuple[str, int]:
    """The node and the session that it lives in. Not tried again: nobody knows whether a lost request made a node."""
    identity = client.client_id
    if identity is None:
        raise ConnectionError("the connection was lost again")
    place = f"{announcement.path.rstrip('/')}/{MEMBER}"
    node = client.create(place, announcement.data, ephemeral=True, sequence=True, makepath=True)
    return node, identity[0]


def _stay(client: KazooClient, node: str, session: int) -> str:
    """Until we are no longer a member: why. A node of that name may be another's, if all of the path was removed."""
    while True:
        changed = threading.Event()
        try:
            found = client.retry(client.exists, node, watch=lambda _, changed=changed: changed.set())
        except KazooException as error:
            return _describe(error)
        if found is None or found.owner_session_id != session:
            return f"{node} was deleted"
        changed.wait()  # also when the connection is lost, with which the watch is


def _describe(error: BaseException | None) -> str:
    """The error's kind, and its text if it has one."""
    return f"{type(error).__name__}: {error}" if error is not None and str(error) else type(error).__name__
