"""What a command has at hand besides its own arguments."""

from __future__ import annotations

import dataclasses
import getpass
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from client import clusters
from client.build import Build
from client.clock import Clock
from client.clusters import Cluster
from client.terminal import Terminal

if TYPE_CHECKING:  # the HTTP library takes its time to load, and not every command talks
    from aurorad.api.calls import Call
    from aurorad.api.results import Response
    from client.leaders import Leader
    from client.scheduler import Scheduler


@dataclasses.dataclass(frozen=True)
class Outside:
    """The parts of the world that tests replace. `now` only goes forward, `wall` is seconds since the epoch."""

    environ: Mapping[str, str]
    now: Callable[[], float]
    sleep: Callable[[float], None]
    open_url: Callable[[str], bool]
    new_id: Callable[[], str]
    wall: Callable[[], float]


@dataclasses.dataclass(frozen=True)
class Session:
    """`closing` ends with the command, and with it the connections that were made."""

    terminal: Terminal
    outside: Outside
    closing: ExitStack
    build: Build = dataclasses.field(default_factory=Build)
    user_agent: str = "Aurora V2"
    bypass_leader_redirect: bool = False
    """Have the scheduler that is addressed answer, even if it does not lead."""
    heard: Callable[[Call, Response], None] = lambda call, response: None
    """Told of every answer of a scheduler."""
    without_hooks: bool = False
    _schedulers: dict[str, Scheduler] = dataclasses.field(default_factory=dict)

    def clusters(self) -> dict[str, Cluster]:
        """Raises `CommandError` for a broken clusters.json."""
        return clusters.load(self.outside.environ)

    @property
    def clock(self) -> Clock:
        return Clock(self.outside.now, self.outside.sleep)

    def leader(self, cluster_name: str) -> Leader:
        """Where the cluster's scheduler is. Raises `CommandError` for a cluster that is not known."""
        from client.leaders import Leader

        return Leader(clusters.find(self.clusters(), cluster_name), self.clock, self.terminal)

    def scheduler(self, cluster_name: str) -> Scheduler:
        """Raises `CommandError` for a cluster that is not known. It is the same one each time."""
        if cluster_name not in self._schedulers:
            self._schedulers[cluster_name] = self._connect(clusters.find(self.clusters(), cluster_name))
        return self._schedulers[cluster_name]

    def _connect(self, cluster: Cluster) -> Scheduler:
        from client import auth
        from client.scheduler import Scheduler
        from client.transport import Transport

        mechanism = auth.mechanism(cluster, self.build.mechanisms)
        transport = Transport(
            self.leader(cluster.name),
            self.user_agent,
            mechanism,
            self.bypass_leader_redirect,
            auth.certificates(cluster),
        )
        return Scheduler(cluster, self.closing.enter_context(transport), self.clock, self.terminal, self.heard)

    def user(self) -> str:
        """The login name that jobs are sent under."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # an account without a name
            return str(os.getuid())

    def open_page(self, url: str) -> None:
        """In a browser, if there is one."""
        if not self.outside.open_url(url):
            self.terminal.info(f"No browser could be started; the page is {url}")
