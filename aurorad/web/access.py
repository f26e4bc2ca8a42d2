"""Who may ask for what over HTTP: one decision for every path of every application, the observer's included.

The tables are by the first part of a route's path; where a path below has a decision of its own, it is there in full.
What has none is closed to everybody.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import math
from collections.abc import Mapping
from enum import Enum

import trio
from quart import Quart, Response, g, request

from aurorad.pages.heads import before_request
from aurorad.rules.authorization import NotAuthenticated
from aurorad.rules.permissions import ANONYMOUS, ANYBODY, Caller, single
from aurorad.web.authentication import Authentication, BadHeader, TooBusy, WrongCredentials

_log = logging.getLogger("aurorad.http")

RUN_AS = "Aurora-Run-As"
_AUTHORIZATION = "Authorization"
UNASKED = "aurorad.unasked"
"""Under this name the extensions of a guarded application have who makes a call of which nothing has to be judged."""
_RUN_AS_PERMISSION = "http.runAs"
_ADMIN_PERMISSION = "http.admin"
_READING = frozenset({"GET", "HEAD"})
_COMPLAIN_EVERY_S = 10.0
_LISTEN_S = 10.0
"""So long somebody who is refused may go on sending: a body need not have an end."""
_LONGEST_NAME = 255
_TEXT = "text/plain; charset=utf-8"


class Access(Enum):
    """Who may ask for a path, where callers say who they are; where they do not, READ and CALL are everybody's."""

    ANYONE = "anyone"
    """Whoever reaches us: probes and load balancers, and files that say nothing of the cluster."""
    READ = "read"
    """Everybody, or, with ``-http_anonymous_reads=false``, every known caller."""
    CALL = "call"
    """As READ; and each call is judged by what it does (`scheduler/rpc/authorized.py`)."""
    ADMIN = "admin"
    """Who has the permission ``http.admin:<first part of path>``; without authentication, this machine's clients."""
    HERE = "here"
    """This machine's clients."""


READS: Mapping[str, Access] = {
    # for probes
    "/health": Access.ANYONE,
    "/leaderhealth": Access.ANYONE,
    # the looks of pages
    "/assets": Access.ANYONE,
    "/favicon.ico": Access.ANYONE,
    # the API
    "/api": Access.CALL,
    "/api/aurora.thrift": Access.ANYONE,
    "/apibeta": Access.CALL,
    "/apiclient": Access.ANYONE,
    "/v1": Access.CALL,
    "/v1/openapi.json": Access.ANYONE,
    # pages of the scheduler
    "/": Access.READ,
    "/index.html": Access.READ,
    "/scheduler": Access.READ,
    "/updates": Access.READ,
    "/agents": Access.READ,
    "/slaves": Access.READ,
    # the cluster, for scripts
    "/cron": Access.READ,
    "/events": Access.READ,
    "/explain": Access.READ,
    "/maintenance": Access.READ,
    "/mname": Access.READ,
    "/offers": Access.READ,
    "/pendingtasks": Access.READ,
    "/quotas": Access.READ,
    "/sandboxes": Access.READ,
    "/state": Access.READ,
    "/structdump": Access.READ,
    "/tiers": Access.READ,
    "/utilization": Access.READ,
    # the process itself
    "/contention": Access.READ,
    "/graphdata": Access.READ,
    "/graphview": Access.READ,
    "/logconfig": Access.READ,
    "/metrics": Access.READ,
    "/profile": Access.READ,
    "/services": Access.READ,
    "/threads": Access.READ,
    "/vars": Access.READ,
    "/vars.json": Access.READ,
    # the observer
    "/browse": Access.READ,
    "/download": Access.READ,
    "/file": Access.READ,
    "/filedata": Access.READ,
    "/filestream": Access.READ,
    "/j": Access.READ,
    "/logdata": Access.READ,
    "/logdownload": Access.READ,
    "/logs": Access.READ,
    "/logstream": Access.READ,
    "/main": Access.READ,
    "/output": Access.READ,
    "/process": Access.READ,
    "/rawtask": Access.READ,
    "/task": Access.READ,
    # a simulated cluster
    "/agent_cut_off": Access.HERE,
    "/agent_reach": Access.HERE,
    "/agent_remove": Access.HERE,
    "/agent_unavailable": Access.HERE,
    "/status": Access.HERE,
}
"""For GET and HEAD."""

CHANGES: Mapping[str, Access] = {
    "/api": Access.CALL,
    "/apibeta": Access.CALL,
    "/v1": Access.CALL,
    "/plan": Access.READ,  # changes nothing, whatever its method
    "/mname": Access.READ,  # sends the same request on to a task, which is none of ours
    "/abortabortabort": Access.ADMIN,
    "/logconfig": Access.ADMIN,
    "/quitquitquit": Access.ADMIN,
}
"""For all other methods but OPTIONS."""


@functools.cache
def decision(route: str, method: str) -> Access | None:
    """Who may ask for a route, as ``/task/<task_id>``, by that method; None if nobody has decided that."""
    if method == "OPTIONS":  # says which methods there are, to browsers that are not allowed to say who asks
        return Access.ANYONE
    table = READS if method in _READING else CHANGES
    return table.get(route, table.get("/" + route.split("/")[1]))


class Gate:
    """Stands before every application, and knows who makes a request."""

    def __init__(
        self, authentication: Authentication | None, *, anonymous_reads: bool = True, run_as: bool = False
    ) -> None:
        """Without `authentication` nobody is asked; `run_as` lets callers act for others, if they may."""
        self._authentication = authentication
        self._anonymous_reads = anonymous_reads
        self._run_as = run_as
        self._complain_at = -math.inf

    def guard(self, app: Quart) -> None:
        """Judge all requests to the application before it hears of them."""
        before_request(app, self._judge, lambda headers: self._unasked(headers) is not None)
        app.extensions[UNASKED] = self._unasked

        @app.errorhandler(NotAuthenticated)
        async def not_authenticated(error: NotAuthenticated) -> Response:
            return await self._challenge()

    def _unasked(self, headers: Mapping[str, str]) -> Caller | None:
        """Who makes a ``POST /api`` with these headers, if that is nothing to ask; None if it has to be judged."""
        if decision("/api", "POST") is not Access.CALL:
            return None
        if self._authentication is None:
            return ANYBODY
        says_nothing = _AUTHORIZATION not in headers and RUN_AS not in headers
        return ANONYMOUS if says_nothing and self._anonymous_reads else None

    async def _judge(self) -> Response | None:
        """None if the request may go on; else what it is told."""
        g.caller = ANYBODY if self._authentication is None else ANONYMOUS
        if request.url_rule is None:
            return None  # there is no such thing, which the application says
        access = decision(request.url_rule.rule, request.method)
        if access is Access.ANYONE:
            return None
        if access is None:
            _log.error("nobody has decided who may %s %s", request.method, request.url_rule.rule)
            return await _refusal(403, "Nobody may do this.")
        if access is Access.HERE:
            return None if _is_local() else await _refusal(403, "Only a client on this machine may do this.")
        if self._authentication is None:
            if access is Access.ADMIN and not _is_local():
                return await _refusal(403, "Only a client on this machine may do this.")
            return None
        try:
            g.caller = await self._caller(self._authentication)
        except WrongCredentials:
            self._complain()
            return await self._challenge()
        except BadHeader as error:
            return await _refusal(400, f"{error}.")
        except TooBusy:
            answer = await _refusal(503, "Too many callers wait for their passwords to be checked.")
            answer.headers["Retry-After"] = "1"
            return answer
        except PermissionError as error:
            return await _refusal(403, str(error))
        return await self._authorized(access, g.caller, request.url_rule.rule)

    async def _authorized(self, access: Access, caller: Caller, route: str) -> Response | None:
        if access is Access.ADMIN:
            if not caller.known:
                return await self._challenge()
            what = route.split("/")[1]
            if not caller.may(single(_ADMIN_PERMISSION, what)):
                return await _refusal(403, f"{caller.name} lacks the permission {_ADMIN_PERMISSION}:{what}.")
        if not caller.known and not self._anonymous_reads:  # a call, too: whoever that is, we need not read it
            return await self._challenge()
        return None

    async def _caller(self, authentication: Authentication) -> Caller:
        """Raises what `Authentication.caller` does, and `PermissionError` for who may not act for somebody else."""
        given = request.headers.getlist(_AUTHORIZATION)
        if len(given) > 1:
            raise BadHeader("One Authorization header was expected")
        caller = await authentication.caller(given[0]) if given else ANONYMOUS
        others = request.headers.getlist(RUN_AS)
        if not others:
            return caller
        if not caller.known:
            raise WrongCredentials
        name = others[0].strip()
        if not self._run_as:
            raise PermissionError(f"{RUN_AS} is not in use here: -shiro_after_auth_filter=RUN_AS allows it.")
        if len(others) > 1 or not 0 < len(name) <= _LONGEST_NAME:
            raise BadHeader(f"{RUN_AS} with the name of one user was expected")
        if not caller.may(single(_RUN_AS_PERMISSION, name)):
            raise PermissionError(f"{caller.name} lacks the permission {_RUN_AS_PERMISSION}:{name}.")
        _log.info("%s acts for %r: %s %s", caller.name, name, request.method, request.path)
        return authentication.named(name)

    def _complain(self) -> None:
        """Where wrong credentials come from; no more than that, for people also type passwords in place of names."""
        if trio.current_time() >= self._complain_at:
            self._complain_at = trio.current_time() + _COMPLAIN_EVERY_S
            _log.warning("wrong credentials from %s (told once in %g s)", request.remote_addr, _COMPLAIN_EVERY_S)

    async def _challenge(self) -> Response:
        answer = await _refusal(401, "Who asks for this must say who it is.")
        assert self._authentication is not None, "else everybody is known"
        for challenge in self._authentication.challenges:
            answer.headers.add("WWW-Authenticate", challenge)
        return answer


def present_caller() -> Caller:
    """Who makes the present request, as the gate has found."""
    caller: Caller = g.caller
    return caller


async def _refusal(status: int, words: str) -> Response:
    with trio.move_on_after(_LISTEN_S):
        async for _ in request.body:  # who is still sending would not read the answer
            pass
    return Response(f"{words}\n", status, content_type=_TEXT, headers={"Cache-Control": "no-store"})


def _is_local() -> bool:
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
