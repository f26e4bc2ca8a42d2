"""What is announced of a task, and where (executor sheet, section 12; config-schema sheet, section 9)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self

import msgspec

from aurorad.api.node_paths import is_node_path
from aurorad.api.tasks import JobKey
from aurorad.flag_parsing import FlagError
from executor.announcer_auth import ZooKeeperAuth, read_auth_file
from executor.flags import ExecutorFlags
from executor.task import Announcer, HealthCheckConfig

MEMBER = "member_"  # a node's name up to ZooKeeper's ten digits
_DEFAULT_INITIAL_INTERVAL_S = 15.0
_LEAST_CONNECT_LIMIT_S = 5.0  # a job that allows its health no time must still be able to join
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s,:/\[\]]+)(:\d{1,5})?")


class CannotAnnounce(Exception):
    """The task fails with this text."""


class AnnouncerSettings(msgspec.Struct, frozen=True):
    """The operator's part. `hostname` replaces the agent's."""

    ensemble: str
    root: str = "/aurora"
    allow_custom_path: bool = False
    hostname: str | None = None
    auth: ZooKeeperAuth = ZooKeeperAuth()

    @classmethod
    def read(cls, flags: ExecutorFlags) -> Self | None:
        """What the flags say, and their file; None if nothing is to be announced. Raises `FlagError`, `BadAuthFile`."""
        if flags.announcer_ensemble is None:
            return None
        if not _is_ensemble(flags.announcer_ensemble):
            raise FlagError(f"--announcer-ensemble={flags.announcer_ensemble}: host:port,host:port/path was expected")
        root = flags.announcer_serverset_path
        if root != "/" and not is_node_path(root.removesuffix("/")):
            raise FlagError(f"--announcer-serverset-path={root}: a path like /aurora was expected")
        file = flags.announcer_zookeeper_auth_config
        return cls(
            flags.announcer_ensemble,
            root,
            flags.announcer_allow_custom_serverset_path,
            flags.announcer_hostname,
            ZooKeeperAuth() if file is None else read_auth_file(file),
        )


class Announcement(msgspec.Struct, frozen=True):
    """A member's data, and the node that its own is created under."""

    path: str
    data: bytes


class _Endpoint(msgspec.Struct, frozen=True):
    host: str
    port: int


class _Member(msgspec.Struct, frozen=True, rename="camel"):
    service_endpoint: _Endpoint
    additional_endpoints: Mapping[str, _Endpoint]
    status: str
    shard: int


def announcement_of(
    announce: Announcer,
    settings: AnnouncerSettings,
    job: JobKey,
    instance: int,
    hostname: str,
    ports: Mapping[str, int],
) -> Announcement:
    """`ports` are all that the task has a number for, other names for them included. Raises `CannotAnnounce`.

    A primary port without a number is announced as 0.
    """
    host = settings.hostname or hostname
    member = _Member(
        _Endpoint(host, ports.get(announce.primary_port, 0)),
        {name: _Endpoint(host, port) for name, port in ports.items()},
        "ALIVE",
        instance,
    )
    return Announcement(_path(announce, settings, job), msgspec.json.encode(member))


def _path(announce: Announcer, settings: AnnouncerSettings, job: JobKey) -> str:
    if announce.zk_path is None:
        return f"{settings.root.rstrip('/')}/{job.role}/{job.environment}/{job.name}"
    if not settings.allow_custom_path:
        raise CannotAnnounce(
            "Executor must be started with --announcer-allow-custom-serverset-path in order to use zk_path "
            "in the Announcer config"
        )
    if not is_node_path(announce.zk_path):
        raise CannotAnnounce(f"zk_path in the Announcer config is {announce.zk_path!r}: a path like /a/b was expected")
    return announce.zk_path


def _is_ensemble(text: str) -> bool:
    hosts, slash, path = text.partition("/")
    return all(_HOST.fullmatch(host) for host in hosts.split(",")) and (not slash or is_node_path(f"/{path}"))


def unmapped(announce: Announcer, ports: Mapping[str, int]) -> dict[str, str]:
    """Names of the portmap that end at no number, and what they are mapped to."""
    return {name: str(target) for name, target in announce.aliases().items() if name not in ports}


def connect_limit_s(health: HealthCheckConfig) -> float:
    """How long ZooKeeper may take to be reached first (executor sheet, section 12.2)."""
    initial_s = health.initial_interval_secs
    initial_s = _DEFAULT_INITIAL_INTERVAL_S if initial_s is None else initial_s
    return max(initial_s + health.max_consecutive_failures * health.interval_secs, _LEAST_CONNECT_LIMIT_S)
