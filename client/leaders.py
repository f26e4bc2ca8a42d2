"""Where a cluster's scheduler listens: at its address, or where ZooKeeper says (client-internals sheet, section 2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import msgspec

from client.clock import Clock
from client.clusters import Cluster
from client.errors import CommandError, Exit
from client.terminal import Terminal

_WINDOW_S = 60.0
_PAUSE_S = 5.0
_PATIENCE_S = 10.0  # for one answer of ZooKeeper
# Candidates stand in line beside the members, under other names.
_MEMBER = re.compile(r"member_[0-9]{10}")


class NotFound(Exception):
    """Nobody leads, or ZooKeeper does not say who."""


class _Endpoint(msgspec.Struct, frozen=True):
    host: str
    port: int


class _Member(msgspec.Struct, frozen=True, rename="camel"):
    """What the leader wrote of itself, as far as it matters here."""

    additional_endpoints: dict[str, _Endpoint] = {}


# The nodes of members below a path, by name, asked of ``host:port,...``. Raises `NotFound`.
Look = Callable[[str, str], Sequence[bytes]]


class Leader:
    """The scheduler to talk to. What was found is remembered until it is doubted."""

    def __init__(self, cluster: Cluster, clock: Clock, terminal: Terminal, look: Look | None = None) -> None:
        self._cluster = cluster
        self._clock = clock
        self._terminal = terminal
        self._look = look or members
        self._found: str | None = None

    @property
    def url(self) -> str:
        """Ending in a slash. Raises `CommandError`, for want of a leader after a minute."""
        if self._found is None:
            hosts = self._cluster.zk_hosts
            self._found = self._cluster.scheduler_url if hosts is None else self._insist(hosts)
        return self._found

    def doubt(self) -> None:
        """Look anew next time: another one may lead by then."""
        self._found = None

    def _insist(self, hosts: str) -> str:
        path = self._cluster.zk_path
        deadline = self._clock.now() + _WINDOW_S
        told = ""
        while True:
            try:
                return self._ask(hosts, path)
            except NotFound as error:
                if str(error) != told:
                    told = str(error)
                    self._terminal.warn(f"Could not connect to scheduler: {told}")
            if self._clock.now() + _PAUSE_S > deadline:
                text = f"Timed out trying to connect to scheduler at {self._cluster.name}"
                raise CommandError(Exit.TIMEOUT, text)
            self._clock.sleep(_PAUSE_S)

    def _ask(self, hosts: str, path: str) -> str:
        found = self._look(hosts, path)
        if not found:
            raise NotFound(f"No schedulers detected in {self._cluster.name}!")
        try:
            endpoints = msgspec.json.decode(found[0], type=_Member).additional_endpoints
        except msgspec.MsgspecError as error:
            raise NotFound(f"What {path} holds in ZooKeeper is no scheduler: {error}") from None
        for scheme in ("https", "http"):
            if scheme in endpoints:
                url = f"{scheme}://{endpoints[scheme].host}:{endpoints[scheme].port}/"
                self._terminal.debug(f"{self._cluster.name} is led at {url}")
                return url
        raise NotFound(f"The scheduler that leads {self._cluster.name} tells neither an http nor an https address")


def members(hosts: str, path: str) -> Sequence[bytes]:
    """The `Look` at a real ZooKeeper."""
    import logging

    from kazoo.client import KazooClient
    from kazoo.exceptions import KazooException, NoNodeError
    from kazoo.handlers.threading import KazooTimeoutError

    silent = logging.Logger("silent", logging.CRITICAL + 1)
    client = KazooClient(hosts, timeout=_PATIENCE_S, logger=silent)
    try:
        client.start(_PATIENCE_S)
        names = client.get_children_async(path).get(timeout=_PATIENCE_S)
        nodes = [
            client.get_async(f"{path.rstrip('/')}/{name}").get(timeout=_PATIENCE_S)
            for name in sorted(filter(_MEMBER.fullmatch, names))
        ]
        return [data for data, _ in nodes]
    except NoNodeError:  # of the path, or of a leader that went away just now
        return ()
    except KazooTimeoutError:
        raise NotFound(f"Failed to connect to Zookeeper within {_PATIENCE_S:g} seconds.") from None
    except KazooException as error:
        raise NotFound(f"ZooKeeper refuses: {type(error).__name__} {error}") from None
    finally:
        client.stop()
        client.close()
