"""What a scheduler serves over HTTP: first, if others may lead, what a follower may, then what a leader does.

Both are applications of their own on the same port. When one takes the other's place, nobody is turned away: the
listening socket stays, and requests that are being answered have their grace.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NamedTuple, NoReturn, Protocol

import msgspec
import trio
from quart import Blueprint
from quart_trio import QuartTrio

from aurorad.api.calls import Call
from aurorad.api.enums import ResponseCode
from aurorad.api.results import Response, ServerInfo
from aurorad.leader.face import Leadership
from aurorad.leading import Reign, Surroundings
from aurorad.pages.look import Notice
from aurorad.rules.permissions import Caller
from aurorad.scheduler.rpc.answers import Refused, refused
from aurorad.scheduler_role import Followed
from aurorad.storage.tables import Tables
from aurorad.web.access import present_caller
from aurorad.web.admin import admin_endpoints
from aurorad.web.apibeta import apibeta_endpoint
from aurorad.web.apiclient import api_client
from aurorad.web.app import scheduler_app
from aurorad.web.cluster import cluster_endpoints
from aurorad.web.diagnostics import diagnostic_endpoints
from aurorad.web.dumps import dump_endpoints
from aurorad.web.graphs import graph_endpoints
from aurorad.web.mname import mname_endpoints
from aurorad.web.pages.blueprint import scheduler_look, scheduler_pages
from aurorad.web.thrift import thrift_endpoint
from aurorad.web.utilization import utilization_endpoints
from aurorad.web.v1.blueprint import json_api
from aurorad.web.v1.route import World

_WORDS = "This scheduler follows another one: what it shows may be a moment old, and it changes nothing."
_NO_LEADER = "This scheduler waits to lead: what it shows may be old, and nothing can be changed until one leads."


class Serve(Protocol):
    """Serves an application on a socket until `stopping`, then for a while those who wait for an answer."""

    async def __call__(
        self, app: QuartTrio, sock: socket.socket, stopping: trio.Event, *, task_status: trio.TaskStatus[None]
    ) -> None: ...


class _Shown(NamedTuple):
    stopping: trio.Event
    ended: trio.Event


class Front:
    """One port, and the application that is served there now."""

    def __init__(
        self,
        servers: trio.Nursery,
        sock: socket.socket,
        serve: Serve,
        *,
        follower: Callable[[Followed], QuartTrio],
        leader: Callable[[Reign], QuartTrio],
    ) -> None:
        """`servers` is where the servers run; `stop` ends them."""
        self._servers = servers
        self._sock = sock
        self._serve = serve
        self._follower = follower
        self._leader = leader
        self._shown: list[_Shown] = []

    async def follow(self, state: Followed) -> None:
        await self._show(self._follower(state))

    async def lead(self, reign: Reign) -> None:
        await self._show(self._leader(reign))

    async def stop(self) -> None:
        """Take no more connections; returns when all requests have been answered, or had their grace."""
        self._sock.close()
        for shown in self._shown:
            shown.stopping.set()
        for shown in self._shown:
            await shown.ended.wait()

    async def _show(self, app: QuartTrio) -> None:
        if self._sock.fileno() < 0:  # stopped: a scheduler may be told to end at the moment it begins to lead
            return
        shown, before = _Shown(trio.Event(), trio.Event()), tuple(self._shown)
        self._shown.append(shown)  # for `stop`, which may come while it starts
        await self._servers.start(self._run, app, self._sock.dup(), shown)
        for one in before:
            one.stopping.set()

    async def _run(
        self, app: QuartTrio, sock: socket.socket, shown: _Shown, *, task_status: trio.TaskStatus[None]
    ) -> None:
        try:
            await self._serve(app, sock, shown.stopping, task_status=task_status)
        finally:
            shown.ended.set()


def follower_app(
    given: Surroundings,
    tables: Tables,
    leadership: Leadership,
    unfit: Callable[[], str | None],
    *others: Blueprint,
) -> QuartTrio:
    """What a follower serves: statistics, and the tables as they are here, marked as a follower's."""
    server_info = ServerInfo(given.flags.cluster_name, given.flags.viz_job_url_prefix)

    async def not_ready(call: Call, caller: Caller) -> Response:
        answer = refused(Refused("Storage is not READY", ResponseCode.ERROR_TRANSIENT))
        return msgspec.structs.replace(answer, server_info=server_info)

    def remark() -> str | None:
        why = unfit()
        return f"This scheduler cannot lead: {why}" if why else None

    def notice() -> Notice:
        leaders = leadership.leaders
        if len(leaders) != 1:
            return Notice(_NO_LEADER)
        return Notice(
            _WORDS,
            (f"{given.flags.http_scheme}://{in_url(leaders[0].host)}:{leaders[0].port}/scheduler", "Go to the leader"),
        )

    look = scheduler_look(given.flags.cluster_name, given.now_ms, notice)
    return scheduler_app(
        given.stats,
        thrift_endpoint(not_ready, present_caller),
        apibeta_endpoint(not_ready, present_caller),
        json_api(not_ready, present_caller, World(tables, given.now_ms, _not_here, _not_here)),
        admin_endpoints(given.stats, lambda: None, remark),
        cluster_endpoints(tables, lambda: (), lambda: (), given.tiers),
        api_client(look),
        diagnostic_endpoints(look),
        dump_endpoints(tables, look),
        graph_endpoints(given.series, look),
        mname_endpoints(tables),
        utilization_endpoints(tables, look),
        scheduler_pages(look, tables, lambda task: "", given.observer_url),
        *others,
    )


async def _not_here(*_: object) -> NoReturn:
    raise AssertionError("nothing is explained or planned without an answer of the API, which is not ready")


def in_url(host: str) -> str:
    """A host's name or address, as URLs write it."""
    return f"[{host}]" if ":" in host else host
