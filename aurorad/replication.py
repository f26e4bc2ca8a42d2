"""Leadership and log that are shared with other schedulers: over ZooKeeper, and among the members of the log."""

from __future__ import annotations

import logging
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from aurorad.flags import Flags
from aurorad.leader.client import ZooKeeperSettings
from aurorad.leader.face import Leadership
from aurorad.leader.group import Group
from aurorad.leader.zookeeper import ZooKeeper
from aurorad.leader.zookeeper_leadership import ZooKeeperLeadership
from aurorad.log.certificates import Certificates
from aurorad.log.errors import LogFull, LogUnknown
from aurorad.log.here import Timing
from aurorad.log.peers import TcpPeers
from aurorad.log.replicated import LogSettings, ReplicatedLog, replicated_log
from aurorad.startup import CannotStart
from aurorad.storage.following import Follow, Following, Settings, following
from aurorad.vars import Vars

_log = logging.getLogger(__name__)


@asynccontextmanager
async def several(
    flags: Flags, settings: Settings, stats: Vars, host: str, port: int
) -> AsyncIterator[tuple[Leadership, Follow]]:
    """As `ensemble.ensemble`, where there are others."""
    if flags.engine == "local":
        _log.warning(
            "-engine=local with several schedulers is for trying it out: tasks run on the leader's machine, "
            "and the next leader takes them for lost and starts them again"
        )
    assert flags.serverset_path is not None, "flags are checked"
    assert flags.native_log_zk_group_path is not None
    zookeeper = ZooKeeper(_zookeeper_settings(flags), stats)
    leadership = ZooKeeperLeadership(zookeeper, flags.serverset_path, host, port, flags.serverset_endpoint_name)
    group = Group(zookeeper, flags.native_log_zk_group_path)
    async with trio.open_nursery() as nursery:
        await nursery.start(zookeeper.run)
        yield leadership, partial(_member, flags, settings, stats, group)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _member(flags: Flags, settings: Settings, stats: Vars, group: Group) -> AsyncIterator[Following]:
    assert flags.native_log_file_path is not None
    rng = random.Random()  # noqa: S311 - spreads retries, guards nothing
    alone = flags.native_log_quorum_size == 1
    log_settings = LogSettings(
        _cluster_id(flags),
        flags.native_log_quorum_size,
        Timing(write_s=flags.native_log_write_timeout, election_s=flags.native_log_election_timeout),
        flags.native_log_initialize,
    )
    database = flags.work_dir / "state.db"
    listener, me = await _listening(flags)
    async with (
        listener,
        aclosing(group.members()) as members,
        _opened(
            flags.native_log_file_path, _peers(flags, listener, me, stats, rng), members, log_settings, stats, rng
        ) as log,
        trio.open_nursery() as nursery,
        following(log, database, settings, stats, alone=alone) as state,
    ):
        await nursery.start(group.stay, me)
        yield state
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _opened(
    folder: Path,
    peers: TcpPeers,
    members: AsyncIterator[frozenset[str]],
    settings: LogSettings,
    stats: Vars,
    rng: random.Random,
) -> AsyncIterator[ReplicatedLog]:
    """`replicated_log`; what keeps it from being opened is told as `CannotStart`."""
    async with AsyncExitStack() as stack:
        try:
            log = await stack.enter_async_context(replicated_log(folder, peers, members, settings, stats, rng))
        except (OSError, LogFull, LogUnknown) as error:
            raise CannotStart(f"the log in {folder} cannot be opened: {error}") from error
        yield log


def _peers(flags: Flags, listener: trio.SocketListener, me: str, stats: Vars, rng: random.Random) -> TcpPeers:
    """Raises `CannotStart`."""
    try:
        return TcpPeers(listener, me, _cluster_id(flags), stats, rng, _certificates(flags))
    except OSError as error:
        raise CannotStart(f"-native_log_tls_...: these files cannot be used: {error}") from None


def _cluster_id(flags: Flags) -> str:
    return flags.native_log_cluster_id or flags.cluster_name


def _zookeeper_settings(flags: Flags) -> ZooKeeperSettings:
    return ZooKeeperSettings(
        flags.zk_endpoints,
        flags.zk_chroot_path or "",
        flags.zk_session_timeout,
        flags.zk_connection_timeout,
        flags.zk_digest_credentials,
    )


def _certificates(flags: Flags) -> Certificates | None:
    key, certificate, authority = flags.native_log_tls_key, flags.native_log_tls_certificate, flags.native_log_tls_ca
    if key is None or certificate is None or authority is None:
        return None
    return Certificates(key, certificate, authority)


async def _listening(flags: Flags) -> tuple[trio.SocketListener, str]:
    """Where the other members of the log reach this one, and the address that they are told.

    By flag, or by the environment that operators of Mesos know. Raises `CannotStart`.
    """
    ip = os.environ.get("LIBPROCESS_IP") or flags.ip or flags.hostname or "127.0.0.1"
    port = _port(flags)
    try:
        (listener, *others) = await trio.open_tcp_listeners(port, host=ip)
        for other in others:
            await other.aclose()
        told = os.environ.get("LIBPROCESS_ADVERTISE_IP") or _address_of(ip, flags.hostname)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {ip}:{port} for the members of the log: {error.strerror or error}; "
            "-native_log_port or LIBPROCESS_PORT, and LIBPROCESS_IP, -ip or -hostname choose where"
        ) from None
    return listener, f"{told}:{listener.socket.getsockname()[1]}"


def _address_of(ip: str, hostname: str | None) -> str:
    """Of an address to listen on, or a name, one that others can dial."""
    return socket.gethostbyname(hostname or socket.gethostname() if ip == "0.0.0.0" else ip)  # noqa: S104


def _port(flags: Flags) -> int:
    if flags.native_log_port is not None:
        return flags.native_log_port
    given = os.environ.get("LIBPROCESS_PORT", "0")
    if not given.isdecimal() or int(given) > 65535:
        raise CannotStart(f"LIBPROCESS_PORT={given}: a port was expected")
    return int(given)
